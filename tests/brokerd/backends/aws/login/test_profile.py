"""A profile of the AWS command line, from its files to credentials."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from brokerd.backends.aws.assumed import user
from brokerd.identities.base import Standing
from brokershim.errors import (
    BackendRefused,
    ConfigError,
    IdentityUnavailable,
    InsecurePath,
    UsageError,
)
from tests.brokerd.backends.aws.login.conftest import (
    CODED,
    KEY,
    SERIAL,
    calls,
    nobody,
    profiled,
    write,
)
from tests.support import aws_faults
from tests.support.aws import ADMIN, Aws, role
from tests.support.aws_asking import clients


def test_an_access_key_is_used_as_it_is(home: Path) -> None:
    login = profiled(nobody(), profile="base")
    keys = login.keys()
    assert (keys.access_key, keys.secret_key, keys.session_token) == (*ADMIN, None)
    assert keys.expires_at is None
    assert login.account.standing() == Standing("ready", "profile base")
    write(home, "credentials", "[base]\naws_access_key_id=A\naws_secret_access_key=b=c\n")
    assert login.keys().secret_key == "b=c"  # the file is read anew


def test_a_role_is_taken_on_with_its_sources_key(home: Path, aws: Aws) -> None:
    config = f"[profile dev]\nrole_arn = {role('dev')}\nsource_profile = base\n"
    write(home, "config", f"{config}role_session_name = ada\n", 0o644)
    login = profiled(clients(aws, duration=1800.0))
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
    profiled(clients(aws)).keys()
    first, second = calls(aws)
    assert (first["access_key"], first["params"]["RoleArn"]) == (ADMIN[0], role("hub"))
    assert second["params"]["RoleArn"] == role("dev")
    assert second["access_key"] not in ("", ADMIN[0])
    assert first["params"]["RoleSessionName"] == f"brokerctl-cloud-{user()}"


def test_a_profile_may_be_its_own_source(home: Path, aws: Aws) -> None:
    own = f"role_arn = {role('dev')}\nsource_profile = dev\n"
    write(home, "config", f"[profile dev]\n{own}")
    write(home, "credentials", f"[dev]\n{KEY}")
    assert profiled(clients(aws)).keys().session_token
    assert len(calls(aws)) == 1


def test_a_source_with_a_key_of_its_own_is_that_key(home: Path, aws: Aws) -> None:
    base = f"[profile base]\nrole_arn = {role('other')}\nsource_profile = elsewhere\n"
    dev = f"[profile dev]\nrole_arn = {role('dev')}\nsource_profile = base\n"
    write(home, "config", base + dev)
    profiled(clients(aws)).keys()
    assert [each["params"]["RoleArn"] for each in calls(aws)] == [role("dev")]


def test_no_section_is_everybodys_default(home: Path) -> None:
    """As in other files of this kind: what a profile lacks is not taken from there."""
    write(home, "credentials", f"[DEFAULT]\n{KEY}[base]\nregion = eu-central-1\n")
    with pytest.raises(ConfigError, match="aws_access_key_id is missing"):
        profiled(nobody(), profile="base").keys()


def test_a_profile_without_a_code_has_nobody_to_log_in(home: Path) -> None:
    del home
    login = profiled(nobody(), profile="base")
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
        ("[profile dev]\nsso_start_url = https://a\n", "sso_start_url is not accepted"),
        ("[profile dev]\nlogin_session = arn:aws:iam::1:user/a\n", "login_session is not"),
        ("[profile dev]\ncredential_source = Environment\n", "credential_source is not"),
        ("[profile dev]\nweb_identity_token_file = /t\n", "web_identity_token_file is not"),
        (f"[profile dev]\nrole_arn = {role('dev')}\n", "source_profile is missing"),
        ("[profile dev]\nrole_arn = dev\nsource_profile = base\n", "role_arn is none"),
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
    login = profiled(nobody())
    with pytest.raises(ConfigError, match=said) as caught:
        login.keys()
    assert ADMIN[1] not in "".join(traceback.format_exception(caught.value))
    standing = login.account.standing()
    assert standing.state == "failed"
    assert said in standing.reason


@pytest.mark.parametrize("more", [" # mine", "\u00e9", "\naws_session_token = a token"])
def test_a_key_that_cannot_be_sent_is_refused(home: Path, more: str) -> None:
    write(home, "credentials", f"[base]\n{KEY.rstrip()}{more}\n")
    with pytest.raises(ConfigError, match="profile base: its access key") as caught:
        profiled(nobody(), profile="base").keys()
    assert ADMIN[1] not in "".join(traceback.format_exception(caught.value))


def test_a_broken_file_is_not_repeated(home: Path) -> None:
    path = write(home, "credentials", f"[base]\n{ADMIN[1]}\n")
    with pytest.raises(ConfigError, match="no file of profiles") as caught:
        profiled(nobody(), profile="base").keys()
    assert str(path) in caught.value.message
    path.write_bytes(b"[base]\n" + ADMIN[1].encode() + b"\xff")
    with pytest.raises(ConfigError, match="UTF-8") as other:
        profiled(nobody(), profile="base").keys()
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
        profiled(nobody(), profile="base").keys()
    assert "chmod" in caught.value.hint


def test_a_key_in_a_private_settings_file_is_taken(home: Path) -> None:
    write(home, "config", f"[profile dev]\n{KEY}")
    assert profiled(nobody()).keys().access_key == ADMIN[0]


def test_what_both_files_say_the_credentials_file_says(home: Path) -> None:
    """As the command line has it."""
    other = "aws_access_key_id = A\naws_secret_access_key = b\naws_session_token = t\n"
    write(home, "config", f"[profile base]\n{other}")
    keys = profiled(nobody(), profile="base").keys()
    assert (keys.access_key, keys.secret_key, keys.session_token) == (*ADMIN, "t")


def test_a_link_is_refused(home: Path) -> None:
    path = write(home, "credentials", f"[base]\n{KEY}")
    path.rename(home / "elsewhere")
    path.symlink_to(home / "elsewhere")
    with pytest.raises(InsecurePath, match="symbolic link"):
        profiled(nobody(), profile="base").keys()


def test_no_files_at_all(home: Path) -> None:
    (home / ".aws" / "credentials").unlink()
    with pytest.raises(IdentityUnavailable, match="neither"):
        profiled(nobody()).keys()


def test_files_that_are_named_and_no_variable(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(home, "mine", "[base]\naws_access_key_id=A\naws_secret_access_key=b\n")
    monkeypatch.setenv("AWS_PROFILE", "other")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-environment")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    assert profiled(nobody(), profile="base").keys().access_key == ADMIN[0]
    named = profiled(nobody(), profile="base", credentials_file=str(path))
    assert named.keys().access_key == "A"
    with pytest.raises(ConfigError, match="config_file is no absolute path"):
        profiled(nobody(), config_file="config")
    assert tmp_path == home


def test_a_key_that_is_over_is_told(home: Path, aws: Aws) -> None:
    write(home, "config", CODED.replace(f"mfa_serial = {SERIAL}\n", ""))
    over = aws_faults.Fault("InvalidClientTokenId", "The security token is invalid", 403)
    aws.fail(over.on("AssumeRole"))
    with pytest.raises(BackendRefused, match="the credentials are over"):
        profiled(clients(aws)).keys()


def test_no_key_is_in_a_repr(home: Path) -> None:
    del home
    login = profiled(nobody(), profile="base")
    assert ADMIN[1] not in repr([login, vars(login.account)])
