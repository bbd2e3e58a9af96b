"""A login at IAM Identity Center, day after day: kept, refreshed, due, over, and given up."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.login.kept import Kept
from brokerd.backends.aws.login.sso import SingleSignOn
from brokershim.errors import (
    BackendRefused,
    KeyringUnavailable,
    LoginRequired,
    ServerDown,
)
from tests.brokerd.backends.aws.login.conftest import ENTRY, Time, made
from tests.support.identity_center import IdentityCenter
from tests.support.memory_keyring import MemoryKeyring


def test_another_daemon_goes_on_with_the_login(
    sso: SingleSignOn, asking: Clients, center: IdentityCenter
) -> None:
    sso.account.login("browser").run()
    again = made(asking)
    assert again.account.standing().subject == "moto, Developer in 123456789012"
    assert again.keys().session_token
    assert len(center.params("CreateToken")) == 1


@pytest.mark.parametrize(
    "values", [{"start_url": "https://evil.example/start"}, {"sso_region": "us-east-1"}]
)
def test_a_token_goes_only_where_it_is_from(
    sso: SingleSignOn, asking: Clients, center: IdentityCenter, values: dict[str, str]
) -> None:
    sso.account.login("browser").run()
    asked = len(center.asked)
    other = made(asking, **values)
    assert other.account.standing().state == "login"
    with pytest.raises(LoginRequired):
        other.keys()
    assert len(center.asked) == asked


@pytest.mark.parametrize("service", ["sso", "sso-oidc"])
def test_nor_to_another_endpoint(
    sso: SingleSignOn, asking: Clients, center: IdentityCenter, service: str
) -> None:
    sso.account.login("browser").run()
    asked = len(center.asked)
    there = {**asking.settings.endpoints, service: center.url.replace("127.0.0.1", "localhost")}
    other = made(Clients("cloud", replace(asking.settings, endpoints=there)))
    with pytest.raises(LoginRequired):
        other.keys()
    assert len(center.asked) == asked


def test_a_token_that_is_nearly_over_is_refreshed_first(
    sso: SingleSignOn, center: IdentityCenter, passing: Time, keyring: MemoryKeyring
) -> None:
    sso.account.login("browser").run()
    before = sso.revision()
    passing.later += 3550
    sso.keys()
    refresh = center.params("CreateToken")[-1]
    assert refresh["grantType"] == "refresh_token"
    assert refresh["refreshToken"].startswith("the-refresh-token")
    kept = json.loads(keyring.entries[ENTRY])
    assert kept["refresh_token"] != refresh["refreshToken"]  # the newer one
    assert center.params("GetRoleCredentials")[-1]["accessToken"] == kept["access_token"]
    sso.keys()
    assert len(center.params("CreateToken")) == 2
    assert sso.revision() == before  # it is the same person


def test_a_refresh_token_that_stays_is_used_again(
    sso: SingleSignOn, center: IdentityCenter, passing: Time
) -> None:
    center.rotates = False
    sso.account.login("browser").run()
    for _ in range(2):
        passing.later += 3600
        sso.keys()
    first, second = center.params("CreateToken")[1:]
    assert first["refreshToken"] == second["refreshToken"]


def test_a_newer_login_is_kept_before_anything_is_asked_with_it(
    sso: SingleSignOn, center: IdentityCenter, passing: Time
) -> None:
    """The refresh token that brought it is spent, whatever AWS says to it then."""
    sso.account.login("browser").run()
    passing.later += 3600
    center.fails["GetRoleCredentials"] = ["InvalidRequestException"]
    with pytest.raises(BackendRefused):
        sso.keys()
    assert sso.keys().session_token
    assert len(center.params("CreateToken")) == 2


def test_one_that_another_has_refreshed_meanwhile_is_not_refreshed_with_a_spent_token(
    sso: SingleSignOn, center: IdentityCenter, passing: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    sso.account.login("browser").run()
    passing.later += 3600
    given = sso.account._given

    def meanwhile(kept: Kept) -> Keys | None:
        found = given(kept)
        monkeypatch.setattr(sso.account, "_given", given)
        sso.keys()
        return found

    monkeypatch.setattr(sso.account, "_given", meanwhile)
    assert sso.keys().session_token
    spent = [each["refreshToken"] for each in center.params("CreateToken")[1:]]
    assert len(spent) == len(set(spent))


def test_credentials_that_are_over_are_refused(sso: SingleSignOn, center: IdentityCenter) -> None:
    sso.account.login("browser").run()
    center.ends_in = -1
    with pytest.raises(ServerDown, match="are over"):
        sso.keys()


def test_a_token_that_aws_does_not_take_is_refreshed(
    sso: SingleSignOn, center: IdentityCenter
) -> None:
    sso.account.login("browser").run()
    center.live.clear()
    assert sso.keys().session_token
    assert len(center.params("CreateToken")) == 2


@pytest.mark.parametrize("name", ["InvalidGrantException", "InvalidClientException"])
def test_a_login_that_is_over_needs_a_person(
    sso: SingleSignOn, center: IdentityCenter, keyring: MemoryKeyring, name: str
) -> None:
    sso.account.login("browser").run()
    before = sso.revision()
    center.live.clear()
    center.fails["CreateToken"] = [name]
    with pytest.raises(LoginRequired, match="the login is over") as caught:
        sso.keys()
    assert "brokerctl login cloud" in caught.value.hint
    assert keyring.entries == {}
    assert sso.revision() != before
    assert sso.account.standing().state == "login"


@pytest.mark.usefixtures("no_pauses")
def test_an_outage_ends_no_login(
    sso: SingleSignOn, center: IdentityCenter, keyring: MemoryKeyring
) -> None:
    sso.account.login("browser").run()
    center.live.clear()
    center.fails["CreateToken"] = ["InternalServerException"] * 3
    with pytest.raises(ServerDown):
        sso.keys()
    assert set(keyring.entries) == {ENTRY}
    assert sso.keys().session_token


def test_without_a_refresh_token_it_is_due_before_it_ends(
    sso: SingleSignOn, center: IdentityCenter, passing: Time
) -> None:
    center.refreshes, center.life = False, 8 * 3600
    found = sso.account.login("browser").run()
    assert 28_790 < (found.until or 0) <= 28_800
    passing.later += 8 * 3600 - 1200
    assert sso.account.standing().state == "due"
    passing.later += 1200
    assert sso.account.standing().state == "login"
    with pytest.raises(LoginRequired):
        sso.keys()


def test_one_that_is_refreshed_is_due_before_its_client_ends(
    sso: SingleSignOn, passing: Time
) -> None:
    sso.account.login("browser").run()
    passing.later += 7_776_000 - 300
    found = sso.account.standing()
    assert found.state == "due"
    assert 0 < (found.until or 0) < 300


def test_a_logout_ends_it_here_and_at_aws(
    sso: SingleSignOn, asking: Clients, center: IdentityCenter, keyring: MemoryKeyring
) -> None:
    sso.account.login("browser").run()
    roles = Roles(sso, asking)
    roles.keys()
    sso.account.logout()
    assert (keyring.entries, center.live) == ({}, set())
    assert len(center.params("Logout")) == 1
    with pytest.raises(LoginRequired):
        roles.keys()
    sso.account.logout()  # and nobody's is none
    assert len(center.params("Logout")) == 1


def test_a_logout_that_aws_does_not_hear_of_is_one_here(
    sso: SingleSignOn, center: IdentityCenter, keyring: MemoryKeyring
) -> None:
    sso.account.login("browser").run()
    center.fails["Logout"] = ["InvalidRequestException"]
    with pytest.raises(BackendRefused):
        sso.account.logout()
    assert keyring.entries == {}
    with pytest.raises(LoginRequired):
        sso.keys()


def test_a_logout_after_a_night_ends_it_at_aws_all_the_same(
    sso: SingleSignOn, center: IdentityCenter, passing: Time
) -> None:
    sso.account.login("browser").run()
    passing.later += 3600
    center.live.clear()
    sso.account.logout()
    (ended,) = center.params("Logout")
    assert len(center.params("CreateToken")) == 2
    assert ended["accessToken"] != center.params("GetRoleCredentials")[0]["accessToken"]
    assert center.live == set()
    sso.account.login("browser").run()
    passing.later += 3600
    center.fails["CreateToken"] = ["InvalidGrantException"]
    sso.account.logout()  # it was over, there too


def test_a_refreshed_login_that_the_keyring_does_not_take_is_not_lost(
    sso: SingleSignOn, center: IdentityCenter, keyring: MemoryKeyring, passing: Time
) -> None:
    sso.account.login("browser").run()
    passing.later += 3600
    with pytest.MonkeyPatch.context() as locked:
        locked.setattr(keyring, "set_password", refuses)
        for _ in range(2):
            with pytest.raises(KeyringUnavailable):
                sso.keys()
    assert sso.keys().session_token
    assert len(center.params("CreateToken")) == 2  # the spent one is not sent again
    assert "the-access-token" in keyring.entries[ENTRY]


def refuses(*_: object) -> None:
    raise OSError("locked")


def test_a_logout_of_a_login_that_aws_has_ended(sso: SingleSignOn, center: IdentityCenter) -> None:
    sso.account.login("browser").run()
    center.live.clear()
    sso.account.logout()
    assert sso.account.standing().state == "login"


def test_a_keyring_that_refuses(sso: SingleSignOn, keyring: MemoryKeyring) -> None:
    keyring.refuse = OSError("no")
    assert sso.account.standing().state == "failed"
    with pytest.raises(KeyringUnavailable):
        sso.account.login("browser")
    with pytest.raises(KeyringUnavailable):
        sso.keys()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"bound": {}}', "\ud83d"])
def test_what_is_no_login_is_none(sso: SingleSignOn, keyring: MemoryKeyring, text: str) -> None:
    keyring.entries[ENTRY] = text
    assert sso.account.standing().state == "login"


def test_an_entry_with_a_time_that_is_none_is_no_login(
    sso: SingleSignOn, keyring: MemoryKeyring
) -> None:
    sso.account.login("browser").run()
    entry = json.loads(keyring.entries[ENTRY])
    keyring.entries[ENTRY] = json.dumps({**entry, "until": float("nan")})
    assert sso.account.standing().state == "login"
