"""A person's login at IAM Identity Center, from the page to credentials, day after day."""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.login.granted import Device, Registered, Tokens
from brokerd.backends.aws.login.person import Person
from brokerd.backends.aws.login.portal import Portal, Waiting
from brokerd.backends.aws.login.sso import SingleSignOn, build
from brokerd.identities.base import Login
from brokerd.identities.oidc.clocks import Clocks
from brokerd.table import Table
from brokershim import clock
from brokershim.errors import (
    BackendRefused,
    BackendTimeout,
    BrokerError,
    ConfigError,
    KeyringUnavailable,
    LoginRefused,
    LoginRequired,
    LoginUnderWay,
    RateLimited,
    ServerDown,
)
from tests.support.aws import Aws
from tests.support.aws_asking import clients
from tests.support.identity_center import PAGE, SECRET, START, USER_CODE, IdentityCenter
from tests.support.memory_keyring import MemoryKeyring, use

ENTRY = ("brokerctl", "backend/cloud")
TABLE = {
    "login": "sso",
    "start_url": START,
    "sso_region": "eu-west-1",
    "account_id": "123456789012",
    "role_name": "Developer",
}
TOKENS = ("the-access-token", "the-refresh-token", "the-device-code", SECRET)


class Time:
    """The clocks of a login; what is waited for passes at once."""

    def __init__(self) -> None:
        self.later = 0.0
        self.waited: list[float] = []
        self.given_up = False

    def clocks(self) -> Clocks:
        return Clocks(
            lambda: clock.now() + self.later, lambda: time.time() + self.later, self._wait
        )

    def _wait(self, given_up: threading.Event, seconds: float) -> bool:
        self.waited.append(seconds)
        self.later += seconds
        return given_up.is_set()


@pytest.fixture
def center() -> Iterator[IdentityCenter]:
    with IdentityCenter() as running:
        yield running


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    found = MemoryKeyring()
    use(monkeypatch, found)
    return found


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Time:
    found = Time()
    monkeypatch.setattr("brokerd.backends.aws.login.sso.Clocks", found.clocks)
    return found


@pytest.fixture
def asking(aws: Aws, center: IdentityCenter) -> Clients:
    endpoints = {"sts": aws.url, "sso": center.url, "sso-oidc": center.url}
    return clients(aws, endpoints=endpoints)


@pytest.fixture
def sso(asking: Clients, keyring: MemoryKeyring, passing: Time) -> SingleSignOn:
    del keyring, passing  # there before it is built
    return made(asking)


def made(asking: Clients, **values: Any) -> SingleSignOn:
    table = Table("config.toml", "backend.cloud", {**TABLE, **values})
    table.text("login")
    found = build("cloud", table, {}, asking)
    table.finish()
    return found


def refused(login: Login, error: type[BrokerError], match: str) -> BrokerError:
    with pytest.raises(error, match=match) as caught:
        login.run()
    shown = "".join(traceback.format_exception(caught.value))
    assert not [each for each in TOKENS if each in shown]
    return caught.value


def test_a_login_from_the_page_to_the_credentials(
    sso: SingleSignOn, center: IdentityCenter, passing: Time, keyring: MemoryKeyring
) -> None:
    before = sso.revision()
    assert sso.account.standing().state == "login"
    center.fails["CreateToken"] = ["AuthorizationPendingException"] * 2
    login = sso.account.login("browser")
    assert (login.url, login.user_code, login.seconds) == (PAGE, USER_CODE, 600)
    found = login.run()
    assert (found.state, found.issuer) == ("ready", START)
    assert found.subject == "moto, Developer in 123456789012"
    assert found.until is None  # it is refreshed, and AWS does not say for how long
    assert passing.waited == [1, 1, 1]
    assert sso.revision() != before
    assert sso.keys().access_key.startswith("ASIA")
    (asked,) = center.params("RegisterClient")
    assert asked == {
        "clientName": "brokerctl-cloud",
        "clientType": "public",
        "scopes": ["sso:account:access"],
    }
    assert center.params("StartDeviceAuthorization")[0]["startUrl"] == START
    assert center.params("GetRoleCredentials")[0]["roleName"] == "Developer"
    assert set(keyring.entries) == {ENTRY}


def test_the_credentials_end_when_aws_says(sso: SingleSignOn) -> None:
    sso.account.login("device").run()
    left = (sso.keys().expires_at or 0) - clock.now()
    assert 3590 < left < 3605


def test_it_slows_down_when_it_is_told(
    sso: SingleSignOn, center: IdentityCenter, passing: Time
) -> None:
    center.fails["CreateToken"] = ["SlowDownException", "AuthorizationPendingException"]
    sso.account.login("device").run()
    assert passing.waited == [1, 6, 6]


@pytest.mark.parametrize(
    ("name", "said"),
    [("AccessDeniedException", "refused by the person"), ("ExpiredTokenException", "not finished")],
)
def test_a_person_who_says_no(
    sso: SingleSignOn, center: IdentityCenter, keyring: MemoryKeyring, name: str, said: str
) -> None:
    center.fails["CreateToken"] = [name]
    refused(sso.account.login("browser"), LoginRefused, said)
    assert keyring.entries == {}
    sso.account.login("browser").cancel()  # and it may begin again


def test_a_person_who_does_nothing(sso: SingleSignOn, center: IdentityCenter) -> None:
    center.interval = 50
    center.fails["CreateToken"] = ["AuthorizationPendingException"] * 20
    refused(sso.account.login("browser"), LoginRefused, "nobody finished the login within 600 s")


def test_a_login_that_is_given_up(
    sso: SingleSignOn, center: IdentityCenter, keyring: MemoryKeyring
) -> None:
    login = sso.account.login("browser")
    with pytest.raises(LoginUnderWay):
        sso.account.login("browser")
    login.cancel()
    refused(login, LoginRefused, "given up")
    assert center.params("CreateToken") == []
    assert keyring.entries == {}


def test_who_does_not_have_the_role_is_not_logged_in(
    sso: SingleSignOn, center: IdentityCenter, keyring: MemoryKeyring
) -> None:
    center.fails["GetRoleCredentials"] = ["ResourceNotFoundException"]
    error = refused(sso.account.login("browser"), LoginRefused, "Developer in 123456789012")
    assert "role_name" in error.hint
    assert keyring.entries == {}


def test_a_wrong_start_page_is_told_as_it_begins(sso: SingleSignOn, center: IdentityCenter) -> None:
    center.fails["StartDeviceAuthorization"] = ["InvalidRequestException"]
    with pytest.raises(BackendRefused, match="it is no such one"):
        sso.account.login("browser")


def test_one_that_is_too_busy_asks_for_a_pause(sso: SingleSignOn, center: IdentityCenter) -> None:
    center.fails["RegisterClient"] = ["SlowDownException"]
    with pytest.raises(RateLimited):
        sso.account.login("browser")


@pytest.mark.parametrize("page", ["http://elsewhere.example/", "javascript:alert(1)"])
def test_nobody_is_sent_to_what_is_no_page(
    sso: SingleSignOn, center: IdentityCenter, page: str
) -> None:
    center.page = page
    with pytest.raises(ServerDown, match="the page in the answer"):
        sso.account.login("browser")


@pytest.mark.parametrize("code", ["A" * 41, "A\x1b[2J", "\u0410"])
def test_nobody_is_shown_what_is_no_code(
    sso: SingleSignOn, center: IdentityCenter, code: str
) -> None:
    center.user_code = code
    with pytest.raises(ServerDown, match="nobody could type"):
        sso.account.login("browser")


def test_an_answer_that_does_not_come_in_time_ends_no_login(
    sso: SingleSignOn, passing: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, hangs = Portal.finished, [BackendTimeout("it hangs")]

    def finished(portal: Portal, us: Registered, begun: Device) -> Tokens | Waiting:
        if hangs:
            raise hangs.pop()
        return whole(portal, us, begun)

    monkeypatch.setattr(Portal, "finished", finished)
    assert sso.account.login("browser").run().state == "ready"
    assert passing.waited == [1, 6]


def test_a_login_that_is_given_up_at_the_last_moment_is_not_kept(
    sso: SingleSignOn, center: IdentityCenter, keyring: MemoryKeyring
) -> None:
    center.live.add("a-token")
    given_up = threading.Event()
    given_up.set()
    us, tokens = Registered("us", SECRET, 1e12), Tokens("a-token", 3600.0, "")
    with pytest.raises(LoginRefused, match="given up"):
        sso.account.take(us, tokens, given_up)
    assert keyring.entries == {}


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


def test_no_token_is_in_a_repr(sso: SingleSignOn, center: IdentityCenter) -> None:
    login = sso.account.login("browser")
    login.run()
    seen = repr([vars(login), sso, vars(sso.account), sso.keys()])
    assert not [each for each in (*TOKENS, "the-secret-key", "the-session") if each in seen]
    assert center.live


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"start_url": "http://acme.example/start"}, "start_url is not https"),
        ({"sso_region": "everywhere"}, "sso_region is none"),
        ({"account_id": "12"}, "twelve digits"),
        ({"role_name": "a/b"}, "no name of a permission set"),
    ],
)
def test_what_is_refused(values: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        made(clients("http://127.0.0.1:9"), **values)


def test_a_start_page_as_the_browser_shows_it(
    asking: Clients, keyring: MemoryKeyring, passing: Time, center: IdentityCenter
) -> None:
    made(asking, start_url=f"{START}#/?tab=accounts").account.login("browser").run()
    assert center.params("StartDeviceAuthorization")[0]["startUrl"] == START
    assert (set(keyring.entries), len(passing.waited)) == ({ENTRY}, 1)


def test_the_account_has_the_backends_name(sso: SingleSignOn) -> None:
    account: Person = sso.account
    assert (account.name, account.kind, sso.kind) == ("cloud", "aws", "sso")
