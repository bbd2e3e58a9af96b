"""A person's login at IAM Identity Center, from the page to credentials."""

from __future__ import annotations

import threading
import traceback

import pytest

from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.login.granted import Device, Registered, Tokens
from brokerd.backends.aws.login.person import Person
from brokerd.backends.aws.login.portal import Portal, Waiting
from brokerd.backends.aws.login.sso import SingleSignOn
from brokerd.identities.base import Login
from brokershim import clock
from brokershim.errors import (
    BackendRefused,
    BackendTimeout,
    BrokerError,
    ConfigError,
    LoginRefused,
    LoginUnderWay,
    RateLimited,
    ServerDown,
)
from tests.brokerd.backends.aws.login.conftest import ENTRY, TOKENS, Time, made
from tests.support.aws_asking import clients
from tests.support.identity_center import PAGE, SECRET, START, USER_CODE, IdentityCenter
from tests.support.memory_keyring import MemoryKeyring


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


@pytest.mark.parametrize(
    ("operation", "name", "kind"),
    [
        ("CreateToken", "InvalidClientException", BackendRefused),
        ("GetRoleCredentials", "InvalidRequestException", LoginRefused),
    ],
)
def test_whatever_else_aws_says_is_told_without_what_it_was_sent(
    sso: SingleSignOn, center: IdentityCenter, operation: str, name: str, kind: type[BrokerError]
) -> None:
    center.fails[operation] = [name]
    refused(sso.account.login("browser"), kind, r"it is no such one: .*\[…\]")


def test_it_is_asked_in_its_own_region() -> None:
    portal = made(clients("", endpoints={})).account._portal
    for service, host in (("sso-oidc", "oidc"), ("sso", "portal.sso")):
        found = portal._clients.client(service).meta.endpoint_url
        assert found == f"https://{host}.eu-west-1.amazonaws.com"


def test_a_person_who_does_nothing(sso: SingleSignOn, center: IdentityCenter) -> None:
    center.interval = 50
    center.fails["CreateToken"] = ["AuthorizationPendingException"] * 20
    refused(sso.account.login("browser"), LoginRefused, "nobody finished the login within 600 s")


@pytest.mark.parametrize("interval", [0, -7, 2**40])
def test_an_interval_that_is_none_is_the_usual_one(
    sso: SingleSignOn, center: IdentityCenter, passing: Time, interval: int
) -> None:
    center.interval = interval
    sso.account.login("browser").run()
    assert passing.waited == [5.0]


@pytest.mark.parametrize(("interval", "waited"), [(58, 58.0), (100_000, 60.0)])
def test_no_answer_makes_a_login_endless(
    sso: SingleSignOn, center: IdentityCenter, passing: Time, interval: int, waited: float
) -> None:
    center.interval, center.seconds = interval, 1_000_000
    center.fails["CreateToken"] = ["SlowDownException"] * 20
    login = sso.account.login("browser")
    assert login.seconds == 900
    refused(login, LoginRefused, "nobody finished the login within 900 s")
    assert passing.waited[0] == waited
    assert {*passing.waited[1:]} == {60.0}


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
