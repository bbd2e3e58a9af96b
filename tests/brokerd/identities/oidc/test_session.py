"""Newer tokens for who is logged in, and how a login ends."""

from __future__ import annotations

import json
import threading
import time as machine
from typing import Any

import pytest
from keyring.errors import KeyringLocked

from brokerd.identities.oidc.identity import OidcIdentity
from brokershim.errors import (
    BrokerError,
    ClockSkew,
    IdentityUnavailable,
    KeyringUnavailable,
    LoginRequired,
    ServerDown,
)
from tests.brokerd.identities.oidc.conftest import Time, log_in, make
from tests.support.issuer import CLIENT, OpenIdIssuer, refusal, signed
from tests.support.memory_keyring import MemoryKeyring, use
from tests.support.provider import Answer

RESOURCE = "https://api.example.com"
ENTRY = ("brokerctl", "login/work")


def test_nobody_is_logged_in_at_first(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    with pytest.raises(LoginRequired, match="nobody is logged in to work") as caught:
        identity.token(None)
    assert "brokerctl login work" in caught.value.hint
    assert identity.standing().state == "login"
    assert issuer.asked == []


def test_each_token_is_a_fresh_one(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    log_in(identity, issuer)
    tokens = [identity.token(None), identity.token(CLIENT), identity.token(None)]
    assert len({each.id for each in tokens}) == 3
    sent = [form["refresh_token"] for form in issuer.asked_for("/token")[1:]]
    assert len(set(sent)) == 3  # each refresh is with the token of the one before
    assert all("resource" not in form for form in issuer.asked_for("/token"))


def test_a_daemon_that_starts_again_needs_no_login(
    identity: OidcIdentity, issuer: OpenIdIssuer, time: Time
) -> None:
    log_in(identity, issuer)
    again = make(issuer, time)
    assert again.standing().subject == "ada@example.org"
    assert again.token(None).subject == "user-1"


def test_a_provider_that_does_not_rotate_gets_the_same_again(
    identity: OidcIdentity, issuer: OpenIdIssuer, keyring: MemoryKeyring
) -> None:
    log_in(identity, issuer)
    issuer.refreshing = False
    before = keyring.entries[ENTRY]
    identity.token(None)
    identity.token(None)
    assert keyring.entries[ENTRY] == before


def test_the_newer_refresh_token_is_kept_before_anything_is_looked_at(
    identity: OidcIdentity, issuer: OpenIdIssuer, keyring: MemoryKeyring
) -> None:
    log_in(identity, issuer)
    issuer.sign = lambda _: "nonsense"
    with pytest.raises(ServerDown):
        identity.token(None)
    assert json.loads(keyring.entries[ENTRY])["refresh_token"] in issuer.good


def test_a_token_that_the_keyring_does_not_take_is_offered_again(
    identity: OidcIdentity, issuer: OpenIdIssuer, keyring: MemoryKeyring
) -> None:
    log_in(identity, issuer)
    usual = issuer._token

    def locked_meanwhile(asked: Any) -> Answer:
        keyring.refuse = KeyringLocked("SECRET")
        return usual(asked)

    issuer.instead["/token"] = locked_meanwhile
    with pytest.raises(KeyringUnavailable):
        identity.token(None)
    issuer.instead.clear()
    with pytest.raises(KeyringUnavailable):
        identity.token(None)
    assert identity.standing().state == "ready"
    keyring.refuse = None
    assert identity.token(None).subject == "user-1"
    assert json.loads(keyring.entries[ENTRY])["refresh_token"] in issuer.good


def test_the_provider_ends_a_login(
    identity: OidcIdentity, issuer: OpenIdIssuer, keyring: MemoryKeyring
) -> None:
    log_in(identity, issuer)
    revision = identity.revision()
    refresh_token = issuer.good.pop()
    with pytest.raises(LoginRequired, match="invalid_grant") as caught:
        identity.token(None)
    assert "brokerctl login work" in caught.value.hint
    assert refresh_token not in caught.value.message
    assert keyring.entries == {}
    assert identity.revision() != revision
    assert identity.standing().state == "login"
    asked = len(issuer.asked)
    with pytest.raises(LoginRequired):
        identity.token(None)
    assert len(issuer.asked) == asked


def test_a_crash_before_the_newer_token_is_kept_ends_the_login_and_says_so(
    identity: OidcIdentity, issuer: OpenIdIssuer, keyring: MemoryKeyring, time: Time
) -> None:
    log_in(identity, issuer)
    spent = keyring.entries[ENTRY]
    identity.token(None)
    keyring.entries[ENTRY] = spent  # as after a power cut just before the keyring had the newer
    again = make(issuer, time)
    with pytest.raises(LoginRequired, match="invalid_grant") as caught:
        again.token(None)
    assert "brokerctl login work" in caught.value.hint
    log_in(again, issuer)
    assert again.token(None).subject == "user-1"


def test_a_logout_during_a_refresh_ends_what_the_refresh_brings(
    identity: OidcIdentity, issuer: OpenIdIssuer, keyring: MemoryKeyring
) -> None:
    log_in(identity, issuer)
    logout, usual = threading.Thread(target=identity.logout), issuer._token

    def meanwhile(asked: Any) -> Answer:
        logout.start()
        return usual(asked)

    issuer.instead["/token"] = meanwhile
    identity.token(None)
    logout.join()
    assert (keyring.entries, issuer.good, len(issuer.revoked)) == ({}, set(), 1)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("temporarily_unavailable", ServerDown),
        ("invalid_client", IdentityUnavailable),
        ("unauthorized_client", IdentityUnavailable),
        ("invalid_request", IdentityUnavailable),
    ],
)
def test_another_refusal_keeps_the_login(
    identity: OidcIdentity, issuer: OpenIdIssuer, code: str, error: type[BrokerError]
) -> None:
    log_in(identity, issuer)
    issuer.instead["/token"] = lambda _: refusal(code)
    with pytest.raises(error, match=code):
        identity.token(None)
    issuer.instead.clear()
    assert identity.token(None).subject == "user-1"


def test_a_token_for_another_audience(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    log_in(identity, issuer)
    assert identity.token(RESOURCE).issuer == issuer.url
    assert issuer.asked_for("/token")[-1]["resource"] == RESOURCE


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"aud": "https://other.example"}, "audience"),
        ({"iss": "https://other.example"}, "issuer"),
        ({"exp": machine.time() - 120}, "over"),
        ({"sub": None}, "sub"),
    ],
)
def test_an_access_token_for_somebody_else_is_refused(
    identity: OidcIdentity, issuer: OpenIdIssuer, claims: dict[str, Any], said: str
) -> None:
    log_in(identity, issuer)
    issuer.resource_claims = claims
    with pytest.raises(ServerDown, match=said):
        identity.token(RESOURCE)


def test_a_clock_that_is_off_is_named_for_an_access_token(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    log_in(identity, issuer)
    issuer.ahead = 600
    with pytest.raises(ClockSkew):
        identity.token(RESOURCE)


def test_a_provider_that_knows_no_such_audience_is_told_of(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    log_in(identity, issuer)
    issuer.instead["/token"] = lambda _: refusal("invalid_target")
    with pytest.raises(IdentityUnavailable, match="invalid_target") as caught:
        identity.token(RESOURCE)
    assert "RFC 8707" in caught.value.hint
    issuer.instead.clear()
    issuer.sign = lambda claims: "opaque" if claims["aud"] == RESOURCE else signed(claims)
    with pytest.raises(IdentityUnavailable, match="no JWT"):
        identity.token(RESOURCE)


def test_a_refresh_without_an_id_token_says_so(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    log_in(identity, issuer)
    issuer.instead["/token"] = lambda _: Answer(200, b'{"access_token": "opaque"}')
    with pytest.raises(IdentityUnavailable, match="no ID token"):
        identity.token(None)


def test_without_a_refresh_token_the_login_ends_with_its_id_token(
    identity: OidcIdentity, issuer: OpenIdIssuer, time: Time, keyring: MemoryKeyring
) -> None:
    issuer.refreshing = False
    _, standing = log_in(identity, issuer)
    assert (standing.state, keyring.entries) == ("due", {})
    assert 200 < (standing.until or 0) <= 300
    assert identity.token(None) == identity.token(None)
    assert len(issuer.asked_for("/token")) == 1
    with pytest.raises(IdentityUnavailable, match="no refresh token"):
        identity.token(RESOURCE)
    time.boot += 301
    assert identity.standing().state == "login"
    with pytest.raises(LoginRequired):
        identity.token(None)


def test_the_login_before_is_gone_with_the_next(
    identity: OidcIdentity, issuer: OpenIdIssuer, keyring: MemoryKeyring
) -> None:
    log_in(identity, issuer)
    revision = identity.revision()
    issuer.refreshing, issuer.claims = False, {"sub": "user-2", "email": None}
    assert log_in(identity, issuer)[1].subject == "user-2"
    assert keyring.entries == {}
    assert identity.revision() != revision


@pytest.mark.parametrize(
    ("life", "gone", "state"),
    [
        (30 * 86400, 0, "ready"),
        (30 * 86400, 28 * 86400, "due"),
        (30 * 86400, 31 * 86400, "login"),
        (3600, 2900, "ready"),
        (3600, 3100, "due"),
        (300, 0, "due"),
        (0, 10**9, "ready"),
        (None, 10**9, "ready"),
    ],
)
def test_a_login_is_due_before_it_is_over(
    identity: OidcIdentity,
    issuer: OpenIdIssuer,
    time: Time,
    life: float | None,
    gone: float,
    state: str,
) -> None:
    issuer.refresh_life = life
    log_in(identity, issuer)
    asked = len(issuer.asked)
    time.wall = machine.time() + gone
    standing = identity.standing()
    assert (standing.state, standing.subject) == (state, "ada@example.org")
    assert len(issuer.asked) == asked


def test_a_newer_refresh_token_moves_the_end(
    identity: OidcIdentity, issuer: OpenIdIssuer, time: Time
) -> None:
    issuer.refresh_life = 3600
    log_in(identity, issuer)
    time.wall = machine.time() + 50
    identity.token(None)
    assert 3590 < (identity.standing().until or 0) <= 3600


def test_a_refresh_that_says_nothing_of_the_end_leaves_it(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    issuer.refresh_life = 3600
    log_in(identity, issuer)
    issuer.refreshing, issuer.refresh_life = False, None
    identity.token(None)
    assert 3500 < (identity.standing().until or 0) <= 3600


def test_a_logout_forgets_and_gives_back(
    identity: OidcIdentity, issuer: OpenIdIssuer, keyring: MemoryKeyring
) -> None:
    log_in(identity, issuer)
    revision, (refresh_token,) = identity.revision(), issuer.good
    identity.logout()
    assert (keyring.entries, issuer.revoked) == ({}, [refresh_token])
    assert identity.revision() != revision
    (form,) = issuer.asked_for("/revoke")
    assert form["token_type_hint"] == "refresh_token"
    identity.logout()
    assert len(issuer.asked_for("/revoke")) == 1


def test_a_logout_forgets_even_where_the_provider_is_down(
    identity: OidcIdentity, issuer: OpenIdIssuer, keyring: MemoryKeyring
) -> None:
    log_in(identity, issuer)
    issuer.instead["/revoke"] = lambda _: Answer(400)
    with pytest.raises(ServerDown, match="did not take"):
        identity.logout()
    assert keyring.entries == {}
    assert identity.standing().state == "login"


def test_a_provider_that_takes_nothing_back_is_not_asked(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    issuer.metadata["revocation_endpoint"] = None
    log_in(identity, issuer)
    identity.logout()
    assert issuer.asked_for("/revoke") == []


def test_threads_refresh_one_after_the_other(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    log_in(identity, issuer)
    found: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: found.append(identity.token(None).id)) for _ in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(set(found)) == 8  # with one refresh token spent twice, one would have failed


def test_in_memory_nothing_is_written_and_it_is_said(
    issuer: OpenIdIssuer, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, None)
    identity = make(issuer, time, keep="memory")
    seen, standing = log_in(identity, issuer)
    assert seen.path == "/signed-in"
    assert (standing.state, standing.reason[:22]) == ("ready", "kept in memory only, s")
    assert identity.token(None).subject == "user-1"
    assert make(issuer, time, keep="memory").standing().state == "login"
    identity.logout()
    assert identity.standing().state == "login"
