"""A profile whose role asks for the code of an MFA device, which a person types."""

from __future__ import annotations

import threading
import traceback
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from brokerd.backends.aws.assumed import keys_of, user
from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.login.mfa import CodeLogin
from brokerd.backends.aws.login.profile import Profile
from brokerd.identities.base import Standing, is_asking
from brokerd.identities.oidc.clocks import Clocks
from brokershim import clock
from brokershim.errors import (
    ConfigError,
    LoginRefused,
    LoginRequired,
    LoginUnderWay,
    UsageError,
)
from tests.brokerd.backends.aws.login.conftest import (
    CODED,
    SERIAL,
    calls,
    nobody,
    profiled,
    write,
)
from tests.support import aws_faults
from tests.support.aws import ADMIN, Aws, role
from tests.support.aws_asking import clients


def begun(profile: Profile) -> CodeLogin:
    login = profile.account.login("browser")
    assert is_asking(login)
    assert isinstance(login, CodeLogin)
    return login


def log_in(profile: Profile, code: str = "123456") -> Standing:
    login = begun(profile)
    login.answer(code)
    return login.run()


def test_a_code_is_typed_once_and_its_session_is_kept(home: Path, aws: Aws) -> None:
    write(home, "config", CODED)
    login, asking = profiled(clients(aws)), clients(aws)
    assert login.account.standing().state == "login"
    with pytest.raises(LoginRequired, match="MFA code") as caught:
        login.keys()
    assert "brokerctl login cloud" in caught.value.hint
    before = login.revision()
    found = log_in(login, "123 456")
    assert (found.state, found.issuer) == ("ready", "profile dev")
    assert found.subject.endswith(f"assumed-role/dev/brokerctl-cloud-{user()}")
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
    login = profiled(clients(aws), profile="next")
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
    log_in(profiled(clients(aws)))
    first, second = calls(aws)
    assert first["params"]["RoleArn"] == role("hub")
    assert "TokenCode" not in first["params"]
    assert second["params"]["TokenCode"] == "123456"
    assert second["access_key"] not in ("", ADMIN[0])


def test_a_session_that_is_over_needs_another_code(
    home: Path, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = [0.0]
    passing = Clocks(boot=lambda: clock.now() + later[0])
    monkeypatch.setattr("brokerd.backends.aws.login.profile.Clocks", lambda: passing)
    write(home, "config", CODED)
    login = profiled(clients(aws))
    log_in(login)
    for later[0], state in ((3100.0, "due"), (3605.0, "login")):
        assert login.account.standing().state == state
    with pytest.raises(LoginRequired):
        login.keys()


def test_another_profile_in_the_file_is_not_served_by_the_old_session(home: Path, aws: Aws) -> None:
    write(home, "config", CODED)
    login = profiled(clients(aws))
    log_in(login)
    write(home, "config", CODED.replace(role("dev"), role("other")))
    assert login.account.standing().state == "login"
    with pytest.raises(LoginRequired):
        login.keys()


def test_a_logout_forgets_the_session(home: Path, aws: Aws) -> None:
    write(home, "config", CODED)
    login = profiled(clients(aws))
    log_in(login)
    before, config = login.revision(), write(home, "config", "broken")
    login.account.logout()
    assert login.revision() != before
    config.write_text(CODED)
    assert login.account.standing().state == "login"
    login.account.logout()  # and nobody's is none


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "\u0661" * 6])
def test_what_is_no_code_may_be_typed_again(home: Path, code: str) -> None:
    write(home, "config", CODED)
    login = begun(profiled(nobody()))
    assert (login.url, login.user_code, login.asks) == ("", None, f"MFA code of {SERIAL}")
    with pytest.raises(UsageError, match="six digits"):
        login.answer(code)
    login.cancel()


def test_a_code_that_aws_does_not_take(home: Path, aws: Aws) -> None:
    write(home, "config", CODED)
    said = "MultiFactorAuthentication failed with invalid MFA one time pass code 123456."
    aws.fail(aws_faults.Fault("AccessDenied", said, 403).on("AssumeRole"))
    login = profiled(clients(aws))
    with pytest.raises(LoginRefused, match="access denied") as caught:
        log_in(login)
    assert "wait for the next" in caught.value.hint
    assert "123456." not in "".join(traceback.format_exception(caught.value))
    assert login.account.standing().state == "login"
    aws.fail()
    assert log_in(login, "654321").state == "ready"


def test_a_code_that_aws_repeats_is_not_shown(home: Path, aws: Aws) -> None:
    write(home, "config", CODED)
    said = "Value '123456' at 'tokenCode' failed to satisfy constraint"
    aws.fail(aws_faults.Fault("ValidationError", said).on("AssumeRole"))
    with pytest.raises(ConfigError, match="at 'tokenCode' failed") as caught:
        log_in(profiled(clients(aws)))
    assert "'123456'" not in caught.value.message


def test_a_login_that_is_given_up_asks_nobody(home: Path) -> None:
    write(home, "config", CODED)
    login = profiled(nobody())
    waits = begun(login)
    with pytest.raises(LoginUnderWay):
        begun(login)
    outcome: Future[None] = Future()
    thread = threading.Thread(target=lambda: _ended(waits, outcome))
    thread.start()
    waits.cancel()
    thread.join(10)
    assert "given up" in str(outcome.exception(0))
    for _ in range(2):
        begun(login).cancel()  # before anybody waits for the code, too


def _ended(login: CodeLogin, outcome: Future[None]) -> None:
    try:
        login.run()
    except LoginRefused as error:
        outcome.set_exception(error)


def test_the_first_code_counts(home: Path, aws: Aws) -> None:
    write(home, "config", CODED)
    login = begun(profiled(clients(aws)))
    login.answer("123456")
    login.answer("654321")
    login.run()
    assert calls(aws)[0]["params"]["TokenCode"] == "123456"


def test_a_person_who_types_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurried = Clocks(wait=lambda _, __: False)
    monkeypatch.setattr("brokerd.backends.aws.login.profile.Clocks", lambda: hurried)
    write(home, "config", CODED)
    login = begun(profiled(nobody()))
    with pytest.raises(LoginRefused, match="nobody finished the login within 300 s"):
        login.run()


def test_a_login_that_is_given_up_at_the_last_moment_is_not_kept(
    home: Path, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, "config", CODED)
    profile = profiled(clients(aws))
    login = begun(profile)

    def read(*arguments: Any) -> Keys:
        login.cancel()
        return keys_of(*arguments)

    monkeypatch.setattr("brokerd.backends.aws.login.coded.keys_of", read)
    login.answer("123456")
    with pytest.raises(LoginRefused, match="given up"):
        login.run()
    assert profile.account.standing().state == "login"
