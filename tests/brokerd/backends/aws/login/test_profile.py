"""A profile of the AWS command line, from its files to credentials, with a code and without."""

from __future__ import annotations

import threading
import traceback
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from brokerd.backends.aws.assumed import keys_of
from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.login.mfa import CodeLogin
from brokerd.backends.aws.login.profile import Profile, build
from brokerd.identities.base import Standing, is_asking
from brokerd.identities.oidc.clocks import Clocks
from brokerd.table import Table
from brokershim import clock
from brokershim.errors import (
    BackendRefused,
    ConfigError,
    IdentityUnavailable,
    InsecurePath,
    LoginRefused,
    LoginRequired,
    LoginUnderWay,
    UsageError,
)
from tests.support import aws_faults
from tests.support.aws import ADMIN, Aws, role
from tests.support.aws_asking import clients

SERIAL = "arn:aws:iam::123456789012:mfa/ada"
KEY = f"aws_access_key_id = {ADMIN[0]}\naws_secret_access_key = {ADMIN[1]}\n"
CODED = f"""[profile dev]
region = us-east-1
s3 =
  max_concurrent_requests = 20
role_arn = {role("dev")}
source_profile = base
mfa_serial = {SERIAL}
external_id = acme-17
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    write(tmp_path, "credentials", f"[base]\n{KEY}")
    return tmp_path


def write(home: Path, name: str, text: str, mode: int = 0o600) -> Path:
    path = home / ".aws" / name
    path.write_text(text)
    path.chmod(mode)
    return path


def made(asking: Clients, **values: str) -> Profile:
    values = {"login": "profile", "profile": "dev", **values}
    table = Table("config.toml", "backend.cloud", values)
    table.text("login")
    found = build("cloud", table, {}, asking)
    table.finish()
    return found


def begun(profile: Profile) -> CodeLogin:
    login = profile.account.login("browser")
    assert is_asking(login)
    assert isinstance(login, CodeLogin)
    return login


def log_in(profile: Profile, code: str = "123456") -> Standing:
    login = begun(profile)
    login.answer(code)
    return login.run()


def calls(aws: Aws) -> list[dict[str, Any]]:
    return aws.calls("AssumeRole")


def nobody() -> Clients:
    return clients("http://127.0.0.1:9")


def test_an_access_key_is_used_as_it_is(home: Path) -> None:
    login = made(nobody(), profile="base")
    keys = login.keys()
    assert (keys.access_key, keys.secret_key, keys.session_token) == (*ADMIN, None)
    assert keys.expires_at is None
    assert login.account.standing() == Standing("ready", "profile base")
    write(home, "credentials", "[base]\naws_access_key_id=A\naws_secret_access_key=b=c\n")
    assert login.keys().secret_key == "b=c"  # the file is read anew


def test_a_role_is_taken_on_with_its_sources_key(home: Path, aws: Aws) -> None:
    config = f"[profile dev]\nrole_arn = {role('dev')}\nsource_profile = base\n"
    write(home, "config", f"{config}role_session_name = ada\n", 0o644)
    login = made(clients(aws, duration=1800.0))
    assert login.keys().session_token
    (call,) = calls(aws)
    assert call["access_key"] == ADMIN[0]
    asked = call["params"]
    assert (asked["RoleArn"], asked["RoleSessionName"]) == (role("dev"), "ada")
    assert asked["DurationSeconds"] == "1800"
    assert not {"SerialNumber", "TokenCode", "ExternalId"} & set(asked)
    assert login.account.standing().subject == role("dev")


def test_a_profile_through_two_others(home: Path, aws: Aws) -> None:
    hub = f"[profile hub]\nrole_arn = {role('hub')}\nsource_profile = default\n"
    dev = f"[profile dev]\nrole_arn = {role('dev')}\nsource_profile = hub\n"
    write(home, "config", hub + dev)
    write(home, "credentials", f"[default]\n{KEY}")
    made(clients(aws)).keys()
    first, second = calls(aws)
    assert (first["access_key"], first["params"]["RoleArn"]) == (ADMIN[0], role("hub"))
    assert second["params"]["RoleArn"] == role("dev")
    assert second["access_key"] not in ("", ADMIN[0])
    assert first["params"]["RoleSessionName"] == "brokerctl-cloud"


def test_a_profile_may_be_its_own_source(home: Path, aws: Aws) -> None:
    own = f"role_arn = {role('dev')}\nsource_profile = dev\n"
    write(home, "config", f"[profile dev]\n{own}")
    write(home, "credentials", f"[dev]\n{KEY}")
    assert made(clients(aws)).keys().session_token
    assert len(calls(aws)) == 1


def test_a_code_is_typed_once_and_its_session_is_kept(home: Path, aws: Aws) -> None:
    write(home, "config", CODED)
    login, asking = made(clients(aws)), clients(aws)
    assert login.account.standing().state == "login"
    with pytest.raises(LoginRequired, match="MFA code") as caught:
        login.keys()
    assert "brokerctl login cloud" in caught.value.hint
    before = login.revision()
    found = log_in(login, "123 456")
    assert (found.state, found.issuer) == ("ready", "profile dev")
    assert found.subject.endswith("assumed-role/dev/brokerctl-cloud")
    assert 3500 < (found.until or 0) < 3605
    assert "memory only" in found.reason
    assert login.revision() != before
    roles = Roles(login, asking)
    assert roles.keys() == login.keys()
    (call,) = calls(aws)
    assert call["params"]["SerialNumber"] == SERIAL
    assert call["params"]["TokenCode"] == "123456"
    assert call["params"]["ExternalId"] == "acme-17"


def test_a_role_after_the_coded_one_is_taken_on_from_there(home: Path, aws: Aws) -> None:
    after = f"[profile next]\nrole_arn = {role('next')}\nsource_profile = dev\n"
    write(home, "config", CODED + after)
    login = made(clients(aws), profile="next")
    log_in(login)
    login.keys()
    login.keys()
    assert [each["params"]["RoleArn"] for each in calls(aws)] == [
        role("dev"), role("next"), role("next")
    ]  # fmt: skip
    assert "TokenCode" not in calls(aws)[1]["params"]


def test_a_role_before_the_coded_one_is_taken_on_first(home: Path, aws: Aws) -> None:
    hub = f"[profile hub]\nrole_arn = {role('hub')}\nsource_profile = base\n"
    write(home, "config", hub + CODED.replace("= base", "= hub"))
    log_in(made(clients(aws)))
    first, second = calls(aws)
    assert first["params"]["RoleArn"] == role("hub")
    assert "TokenCode" not in first["params"]
    assert second["params"]["TokenCode"] == "123456"
    assert second["access_key"] not in ("", ADMIN[0])


def test_a_source_with_a_key_of_its_own_is_that_key(home: Path, aws: Aws) -> None:
    base = f"[profile base]\nrole_arn = {role('other')}\nsource_profile = elsewhere\n"
    dev = f"[profile dev]\nrole_arn = {role('dev')}\nsource_profile = base\n"
    write(home, "config", base + dev)
    made(clients(aws)).keys()
    assert [each["params"]["RoleArn"] for each in calls(aws)] == [role("dev")]


def test_a_session_that_is_over_needs_another_code(
    home: Path, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = [0.0]
    passing = Clocks(boot=lambda: clock.now() + later[0])
    monkeypatch.setattr("brokerd.backends.aws.login.profile.Clocks", lambda: passing)
    write(home, "config", CODED)
    login = made(clients(aws))
    log_in(login)
    for later[0], state in ((3100.0, "due"), (3605.0, "login")):
        assert login.account.standing().state == state
    with pytest.raises(LoginRequired):
        login.keys()


def test_another_profile_in_the_file_is_not_served_by_the_old_session(home: Path, aws: Aws) -> None:
    write(home, "config", CODED)
    login = made(clients(aws))
    log_in(login)
    write(home, "config", CODED.replace(role("dev"), role("other")))
    assert login.account.standing().state == "login"
    with pytest.raises(LoginRequired):
        login.keys()


def test_a_logout_forgets_the_session(home: Path, aws: Aws) -> None:
    write(home, "config", CODED)
    login = made(clients(aws))
    log_in(login)
    before = login.revision()
    login.account.logout()
    assert login.revision() != before
    assert login.account.standing().state == "login"


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "\u0661" * 6])
def test_what_is_no_code_may_be_typed_again(home: Path, code: str) -> None:
    write(home, "config", CODED)
    login = begun(made(nobody()))
    assert (login.url, login.user_code, login.asks) == ("", None, f"MFA code of {SERIAL}")
    with pytest.raises(UsageError, match="six digits"):
        login.answer(code)
    login.cancel()


def test_a_code_that_aws_does_not_take(home: Path, aws: Aws) -> None:
    write(home, "config", CODED)
    said = "MultiFactorAuthentication failed with invalid MFA one time pass code 123456."
    aws.fail(aws_faults.Fault("AccessDenied", said, 403).on("AssumeRole"))
    login = made(clients(aws))
    with pytest.raises(LoginRefused, match="access denied") as caught:
        log_in(login)
    assert "wait for the next" in caught.value.hint
    assert "123456." not in "".join(traceback.format_exception(caught.value))
    assert login.account.standing().state == "login"
    aws.fail()
    assert log_in(login, "654321").state == "ready"


def test_a_login_that_is_given_up_asks_nobody(home: Path) -> None:
    write(home, "config", CODED)
    login = made(nobody())
    waits = begun(login)
    with pytest.raises(LoginUnderWay):
        begun(login)
    outcome: Future[None] = Future()
    thread = threading.Thread(target=lambda: _ended(waits, outcome))
    thread.start()
    waits.cancel()
    thread.join(10)
    assert "given up" in str(outcome.exception(0))
    begun(login).cancel()


def _ended(login: CodeLogin, outcome: Future[None]) -> None:
    try:
        login.run()
    except LoginRefused as error:
        outcome.set_exception(error)


def test_the_first_code_counts(home: Path, aws: Aws) -> None:
    write(home, "config", CODED)
    login = begun(made(clients(aws)))
    login.answer("123456")
    login.answer("654321")
    login.run()
    assert calls(aws)[0]["params"]["TokenCode"] == "123456"


def test_a_person_who_types_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried = Clocks(wait=lambda _, __: False)
    monkeypatch.setattr("brokerd.backends.aws.login.profile.Clocks", lambda: hurried)
    write(home, "config", CODED)
    login = begun(made(nobody()))
    with pytest.raises(LoginRefused, match="nobody finished the login within 300 s"):
        login.run()


def test_a_login_that_is_given_up_at_the_last_moment_is_not_kept(
    home: Path, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, "config", CODED)
    profile = made(clients(aws))
    login = begun(profile)

    def read(*arguments: Any) -> Keys:
        login.cancel()
        return keys_of(*arguments)

    monkeypatch.setattr("brokerd.backends.aws.login.coded.keys_of", read)
    login.answer("123456")
    with pytest.raises(LoginRefused, match="given up"):
        login.run()
    assert profile.account.standing().state == "login"


def test_a_profile_without_a_code_has_nobody_to_log_in(home: Path) -> None:
    del home
    login = made(nobody(), profile="base")
    for call in (lambda: login.account.login("browser"), login.account.logout):
        with pytest.raises(UsageError, match="asks for no MFA code"):
            call()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("[profile other]\n", "there is no profile dev"),
        ("[dev]\n", "there is no profile dev"),
        ("[profile dev]\nregion = eu-central-1\n", "aws_access_key_id is missing"),
        ("[profile dev]\ncredential_process = /bin/true\n", "credential_process is not accepted"),
        ("[profile dev]\nsso_session = work\n", "sso_session is not accepted"),
        ("[profile dev]\ncredential_source = Environment\n", "credential_source is not"),
        ("[profile dev]\nweb_identity_token_file = /t\n", "web_identity_token_file is not"),
        (f"[profile dev]\nrole_arn = {role('dev')}\n", "role_arn without source_profile"),
        ("[profile dev]\nrole_arn = dev\nsource_profile = base\n", "a role is none"),
        (f"[profile dev]\nrole_arn = {role('dev')}\nsource_profile = no\n", "no profile no"),
        ("no section\n", "no file of profiles"),
        ("[profile 'dev]\n", "no text in quotes"),
        ("[profile dev]\naws_access_key_id = A\n", "aws_secret_access_key is missing"),
        (
            f"[profile dev]\nrole_arn = {role('dev')}\nsource_profile = b\n"
            f"[profile b]\nrole_arn = {role('b')}\nsource_profile = dev\n",
            "leads back to itself",
        ),
        (
            f"{CODED}[profile base]\n".replace("= base", "= b")
            + f"[profile b]\nrole_arn = {role('b')}\nsource_profile = base\n"
            + f"mfa_serial = {SERIAL}\n",
            "more than one role",
        ),
    ],
)
def test_what_is_refused(home: Path, config: str, said: str) -> None:
    write(home, "config", config)
    login = made(nobody())
    with pytest.raises(ConfigError, match=said) as caught:
        login.keys()
    assert ADMIN[1] not in "".join(traceback.format_exception(caught.value))
    standing = login.account.standing()
    assert standing.state == "failed"
    assert said in standing.reason


def test_a_broken_file_is_not_repeated(home: Path) -> None:
    path = write(home, "credentials", f"[base]\n{ADMIN[1]}\n")
    with pytest.raises(ConfigError, match="no file of profiles") as caught:
        made(nobody(), profile="base").keys()
    assert str(path) in caught.value.message
    path.write_bytes(b"[base]\n" + ADMIN[1].encode() + b"\xff")
    with pytest.raises(ConfigError, match="UTF-8") as other:
        made(nobody(), profile="base").keys()
    for each in (caught.value, other.value):
        assert ADMIN[1] not in "".join(traceback.format_exception(each))
        assert each.__context__ is None


@pytest.mark.parametrize(
    ("name", "text", "mode"),
    [
        ("credentials", f"[base]\n{KEY}", 0o640),
        ("config", "[profile dev]\n", 0o660),
        ("config", f"[profile dev]\n{KEY}", 0o644),
    ],
)
def test_a_file_that_others_reach_is_refused(home: Path, name: str, text: str, mode: int) -> None:
    write(home, name, text, mode)
    with pytest.raises(InsecurePath, match=name) as caught:
        made(nobody(), profile="base").keys()
    assert "chmod" in caught.value.hint


def test_a_key_in_a_private_settings_file_is_taken(home: Path) -> None:
    write(home, "config", f"[profile dev]\n{KEY}")
    assert made(nobody()).keys().access_key == ADMIN[0]


def test_a_link_is_refused(home: Path) -> None:
    path = write(home, "credentials", f"[base]\n{KEY}")
    path.rename(home / "elsewhere")
    path.symlink_to(home / "elsewhere")
    with pytest.raises(InsecurePath, match="symbolic link"):
        made(nobody(), profile="base").keys()


def test_no_files_at_all(home: Path) -> None:
    (home / ".aws" / "credentials").unlink()
    with pytest.raises(IdentityUnavailable, match="neither"):
        made(nobody()).keys()


def test_files_that_are_named_and_no_variable(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(home, "mine", "[base]\naws_access_key_id=A\naws_secret_access_key=b\n")
    monkeypatch.setenv("AWS_PROFILE", "other")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-environment")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    assert made(nobody(), profile="base").keys().access_key == ADMIN[0]
    named = made(nobody(), profile="base", credentials_file=str(path))
    assert named.keys().access_key == "A"
    with pytest.raises(ConfigError, match="config_file is no absolute path"):
        made(nobody(), config_file="config")
    assert tmp_path == home


def test_a_key_that_is_over_is_told(home: Path, aws: Aws) -> None:
    write(home, "config", CODED.replace(f"mfa_serial = {SERIAL}\n", ""))
    over = aws_faults.Fault("InvalidClientTokenId", "The security token is invalid", 403)
    aws.fail(over.on("AssumeRole"))
    with pytest.raises(BackendRefused, match="the credentials are over"):
        made(clients(aws)).keys()


def test_no_key_is_in_a_repr(home: Path) -> None:
    del home
    login = made(nobody(), profile="base")
    assert ADMIN[1] not in repr([login, vars(login.account)])
