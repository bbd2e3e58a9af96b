"""What a provider says of itself, and what it may answer instead."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from brokerd import roundtrip
from brokerd.identities.base import Mode
from brokerd.identities.oidc import metadata
from brokerd.identities.oidc.identity import OidcIdentity
from brokershim.errors import BackendTimeout, IdentityUnavailable, RateLimited, ServerDown
from tests.brokerd.identities.oidc.conftest import Time, log_in, make
from tests.support.issuer import KEYS, OpenIdIssuer, signed
from tests.support.provider import Answer, Asked, Misbehave

DISCOVERY = "/.well-known/openid-configuration"
HTML = Answer(200, b"<html>Sign in to the hotel's network</html>", (("content-type", "text/html"),))


def hang_up(_: Asked) -> Answer:
    raise Misbehave


def too_much(_: Asked) -> Answer:
    return Answer(200, b'{"a": "' + b"a" * 10_000_000 + b'"}')


def redirect(_: Asked) -> Answer:
    return Answer(302, b"", (("location", "https://elsewhere.example/"),))


MISBEHAVIOURS: list[tuple[Callable[[Asked], Answer], str]] = [
    (lambda _: HTML, "discovery document|neither a token"),
    (lambda _: Answer(500), "status 500"),
    (lambda _: Answer(403, b"no"), "discovery document|neither a token"),
    (lambda _: Answer(200, b"[]"), "discovery document|neither a token"),
    (lambda _: Answer(200, b""), "discovery document|neither a token"),
    (hang_up, "breaks off|cannot be reached"),
    (too_much, "more than"),
    (redirect, "redirects"),
]


@pytest.mark.parametrize(("answer", "said"), MISBEHAVIOURS)
@pytest.mark.parametrize("mode", ["browser", "device"])
def test_what_is_no_discovery_begins_no_login(
    identity: OidcIdentity,
    issuer: OpenIdIssuer,
    answer: Callable[[Asked], Answer],
    said: str,
    mode: Mode,
) -> None:
    issuer.instead[DISCOVERY] = answer
    with pytest.raises(ServerDown, match=said):
        identity.login(mode)


@pytest.mark.parametrize(("answer", "said"), MISBEHAVIOURS)
def test_what_is_no_token_ends_the_login(
    identity: OidcIdentity, issuer: OpenIdIssuer, answer: Callable[[Asked], Answer], said: str
) -> None:
    issuer.instead["/token"] = answer
    with pytest.raises(ServerDown, match=said):
        log_in(identity, issuer)
    assert len(issuer.asked_for("/token")) == 1
    assert identity.standing().state == "login"


@pytest.mark.parametrize(("answer", "said"), MISBEHAVIOURS)
def test_what_is_no_refresh_keeps_the_login(
    identity: OidcIdentity, issuer: OpenIdIssuer, answer: Callable[[Asked], Answer], said: str
) -> None:
    log_in(identity, issuer)
    issuer.instead["/token"] = answer
    with pytest.raises(ServerDown, match=said):
        identity.token(None)
    assert len(issuer.asked_for("/token")) == 2  # a refresh that was sent is not sent again
    issuer.instead.clear()
    assert identity.token(None).subject == "user-1"


def test_a_document_that_is_not_there_says_nothing(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    issuer.instead[DISCOVERY] = lambda asked: issuer._discovery(asked)._replace(status=404)
    with pytest.raises(ServerDown, match="no discovery document"):
        identity.login("browser")


def test_a_pause_is_asked_for(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    log_in(identity, issuer)
    issuer.instead["/token"] = lambda _: Answer(429, b"", (("retry-after", "7"),))
    with pytest.raises(RateLimited) as caught:
        identity.token(None)
    assert caught.value.details["retry_after"] == 7


def test_silence_has_an_end(
    identity: OidcIdentity, issuer: OpenIdIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_in(identity, issuer)
    ended = _silent(issuer)
    for name in _limits():
        monkeypatch.setattr(roundtrip, name, 0.05)
    with pytest.raises(BackendTimeout):
        identity.token(None)
    ended()


def _silent(issuer: OpenIdIssuer) -> Callable[[], None]:
    over = threading.Event()

    def silent(_: Asked) -> Answer:
        over.wait(10)
        return Answer(200)

    issuer.instead["/token"] = silent
    return over.set


def _limits() -> list[str]:
    return [name for name in vars(roundtrip) if name.endswith("SECONDS")]


def test_an_issuer_that_cannot_be_reached(issuer: OpenIdIssuer, time: Time) -> None:
    issuer.url = "http://127.0.0.1:9"
    identity = make(issuer, time, keep="memory")
    with pytest.raises(ServerDown, match=r"127\.0\.0\.1:9"):
        identity.login("browser")


def test_what_a_provider_says_is_believed_for_an_hour(
    identity: OidcIdentity, issuer: OpenIdIssuer, time: Time
) -> None:
    log_in(identity, issuer)
    identity.token(None)
    assert len(issuer.asked_for(DISCOVERY)) == len(issuer.asked_for("/jwks")) == 1
    time.boot += 3601
    identity.token(None)
    assert len(issuer.asked_for(DISCOVERY)) == len(issuer.asked_for("/jwks")) == 2


def test_a_new_key_is_looked_for_once_a_minute(
    identity: OidcIdentity, issuer: OpenIdIssuer, time: Time
) -> None:
    log_in(identity, issuer)
    issuer.sign = lambda claims: signed(claims, KEYS[1])
    for _ in range(3):
        with pytest.raises(ServerDown, match="InvalidKeyIdError"):
            identity.token(None)
    assert len(issuer.asked_for("/jwks")) == 1  # the first look was less than a minute ago
    time.boot += 61
    for _ in range(3):
        with pytest.raises(ServerDown, match="InvalidKeyIdError"):
            identity.token(None)
    assert len(issuer.asked_for("/jwks")) == 2
    time.boot += 61
    issuer.shown = [*KEYS]
    assert identity.token(None).subject == "user-1"


@pytest.mark.parametrize(
    "keys",
    [None, "none", [], [7, None, {}], [{"kty": "oct", "k": "AAAA", "kid": "key-0"}],
     [{"kty": "RSA", "kid": "key-0"}], [{"kty": "RSA", "n": 7, "e": [], "kid": "key-0"}],
     [{"kty": "EC", "crv": "P-0", "x": "A", "y": "A", "kid": "key-0"}], [{"kty": ["RSA"]}]],
)  # fmt: skip
def test_what_is_no_key_signs_nothing(
    identity: OidcIdentity, issuer: OpenIdIssuer, keys: Any
) -> None:
    issuer.instead["/jwks"] = lambda _: Answer(200, json.dumps({"keys": keys}).encode())
    with pytest.raises(ServerDown, match="no key"):
        log_in(identity, issuer)


def test_a_bad_key_beside_a_good_one_does_no_harm(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    good = KEYS[0].as_dict(private=False)
    keys = {"keys": [{"kty": "PQC"}, {"kty": "RSA", "n": "!"}, good]}
    issuer.instead["/jwks"] = lambda _: Answer(200, json.dumps(keys).encode())
    assert log_in(identity, issuer)[1].state == "ready"


def document(**changes: Any) -> dict[str, Any]:
    usual = {
        "issuer": "https://id.example",
        "token_endpoint": "https://id.example/token",
        "jwks_uri": "https://id.example/jwks",
    }
    whole = {**usual, **changes}
    return {key: value for key, value in whole.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"issuer": "https://id.example/"}, "another issuer"),
        ({"issuer": None}, "another issuer"),
        ({"issuer": ["https://id.example"]}, "another issuer"),
        ({"token_endpoint": None}, "no token_endpoint"),
        ({"jwks_uri": None}, "no jwks_uri"),
        ({"token_endpoint": "http://id.example/token"}, "not https"),
        ({"token_endpoint": "http://127.0.0.1/token"}, "not https"),
        ({"jwks_uri": "file:///etc/passwd"}, "not https"),
        ({"jwks_uri": 7}, "not https"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "not https"),
        ({"device_authorization_endpoint": "https://user@id.example/"}, "not https"),
        ({"revocation_endpoint": "https://id.example/\n"}, "not https"),
    ],
)
def test_a_document_that_leads_elsewhere_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ServerDown, match=said):
        metadata.parse("https://id.example", document(**changes))


def test_a_provider_without_pkce_is_refused() -> None:
    with pytest.raises(IdentityUnavailable, match="PKCE"):
        metadata.parse("https://id.example", document(code_challenge_methods_supported=["plain"]))


def test_a_document_stands_below_its_issuer() -> None:
    assert metadata.url_of("https://id.example/tenant/") == (
        "https://id.example/tenant/.well-known/openid-configuration"
    )
    found = metadata.parse("https://id.example", document())
    assert (found.authorization, found.device, found.revocation) == (None, None, None)
    assert found.scopes is None
    assert not found.names_itself
