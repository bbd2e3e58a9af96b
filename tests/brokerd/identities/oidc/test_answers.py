"""Tokens that prove nothing: each is refused, at the login and at every refresh."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time as machine
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, KeyParameters, OKPKey, RSAKey

from brokerd.identities.oidc.identity import OidcIdentity
from brokershim.errors import BrokerError, ClockSkew, LoginRefused, ServerDown
from tests.brokerd.identities.oidc.conftest import log_in
from tests.support.issuer import CLIENT, KEYS, OpenIdIssuer, signed, unsigned

PUBLIC = KEYS[0].as_pem(private=False)
_LENIENT = jws.JWSRegistry(algorithms=["ES256", "EdDSA", "Ed25519"], strict_check_header=False)


def with_public_key(claims: dict[str, Any]) -> str:
    """Sign with what everyone has: the public key, taken as a shared secret (RFC 8725, 2.1)."""
    head, body, _ = (unsigned(claims, alg="HS256")).split(".")
    digest = hmac.digest(PUBLIC, f"{head}.{body}".encode(), "sha256")
    return f"{head}.{body}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def with_own_key(claims: dict[str, Any]) -> str:
    """Sign with a key that nobody knows, under a name that everyone does."""
    stranger = RSAKey.generate_key(2048, KeyParameters(kid=KEYS[0].kid or ""))
    return signed(claims, stranger)


def with_key_inside(claims: dict[str, Any]) -> str:
    """Bring the key along (RFC 7515, section 4.1.3)."""
    stranger = RSAKey.generate_key(2048)
    header = {"alg": "RS256", "kid": KEYS[0].kid, "jwk": stranger.as_dict(private=False)}
    return jwt.encode(header, claims, stranger, algorithms=["RS256"])


def with_a_claim_changed(claims: dict[str, Any]) -> str:
    head, _, signature = signed(claims).split(".")
    body = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "other"}).encode())
    return f"{head}.{body.decode().rstrip('=')}.{signature}"


def with_unknown_demand(claims: dict[str, Any]) -> str:
    header = {"alg": "RS256", "kid": KEYS[0].kid, "crit": ["exp"], "exp": 1}
    text = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    _, body, signature = signed(claims).split(".")
    return f"{text}.{body}.{signature}"


BADLY_SIGNED: list[Callable[[dict[str, Any]], str]] = [
    unsigned,
    with_public_key,
    with_own_key,
    with_key_inside,
    with_a_claim_changed,
    with_unknown_demand,
    lambda claims: signed(claims, KEYS[1]),  # a key of the provider, which it does not show
    lambda _: "a.b.c",
    lambda _: "W10.e30.c2ln",  # a header that is a list
    lambda _: "not a token",
    lambda _: "x" * 200_000,
]


@pytest.mark.parametrize("sign", BADLY_SIGNED)
def test_what_the_provider_did_not_sign_is_no_login(
    identity: OidcIdentity, issuer: OpenIdIssuer, sign: Callable[[dict[str, Any]], str]
) -> None:
    issuer.sign = sign
    with pytest.raises(LoginRefused, match="not signed as it must be"):
        log_in(identity, issuer)
    assert identity.standing().state == "login"


NOW = machine.time()
BADLY_SAID: list[tuple[dict[str, Any], str]] = [
    ({"iss": "https://other.example"}, "issuer"),
    ({"iss": None}, "iss"),
    ({"aud": "another-client"}, "audience"),
    ({"aud": None}, "aud"),
    ({"aud": [CLIENT, "another"]}, "another client|azp"),
    ({"aud": [CLIENT, "another"], "azp": "another"}, "another client"),
    ({"azp": "another"}, "another client"),
    ({"sub": None}, "sub"),
    ({"sub": ""}, "sub"),
    ({"sub": 7}, "sub"),
    ({"exp": NOW - 120}, "over"),
    ({"exp": None}, "exp is missing"),
    ({"exp": "tomorrow"}, "no time"),
    ({"exp": float("nan")}, "no time"),
    ({"nbf": NOW + 600}, "not valid yet"),
    ({"iat": NOW + 600}, "future"),
    ({"iat": None}, "iat is missing"),
    ({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}, "access token is another"),
    ({"at_hash": ["x"]}, "."),
    ({"nonce": "of-another-login"}, "nonce"),
    ({"nonce": None}, "nonce"),
    ({"exp": 10**400}, "its end is no time"),
    ({"exp": 1e300}, "its end is no time"),
    ({"sub": "\x1b[2Jroot"}, "nobody that could be shown"),
    ({"sub": "u" * 256}, "nobody that could be shown"),
]


@pytest.mark.parametrize(("claims", "said"), BADLY_SAID)
def test_what_says_something_else_is_no_login(
    identity: OidcIdentity, issuer: OpenIdIssuer, claims: dict[str, Any], said: str
) -> None:
    issuer.claims = claims
    with pytest.raises(LoginRefused, match=said):
        log_in(identity, issuer)
    assert identity.standing().state == "login"


def test_a_token_of_a_minute_ago_is_within_the_leeway(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    issuer.claims = {"exp": machine.time() - 30, "nbf": machine.time() + 30}
    assert log_in(identity, issuer)[1].state == "ready"


def test_the_hash_of_the_access_token_may_be_there(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    half = hashlib.sha256(b"opaque-access-token").digest()[:16]
    issuer.claims = {"at_hash": base64.urlsafe_b64encode(half).decode().rstrip("=")}
    assert log_in(identity, issuer)[1].state == "ready"


def _curves() -> list[tuple[str, ECKey | OKPKey]]:
    named = KeyParameters(kid="curve")
    return [
        ("ES256", ECKey.generate_key("P-256", named)),
        ("EdDSA", OKPKey.generate_key("Ed25519", named)),
        ("Ed25519", OKPKey.generate_key("Ed25519", named)),
    ]


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")
@pytest.mark.parametrize(("alg", "key"), _curves(), ids=lambda each: str(each)[:7])
def test_other_algorithms_with_a_private_key_do_as_well(
    identity: OidcIdentity, issuer: OpenIdIssuer, alg: str, key: ECKey | OKPKey
) -> None:
    name = hashlib.sha256 if alg == "ES256" else hashlib.sha512
    digest = name(b"opaque-access-token").digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")
    issuer.claims = {"at_hash": half}
    issuer.shown = [*KEYS[:1], key]
    issuer.sign = lambda claims: jwt.encode(
        {"alg": alg, "kid": "curve", "own": "field"},
        claims,
        key,
        algorithms=[alg],
        registry=_LENIENT,
    )
    assert log_in(identity, issuer)[1].state == "ready"


@pytest.mark.parametrize("sign", BADLY_SIGNED[:5])
def test_a_refresh_is_looked_at_as_closely(
    identity: OidcIdentity, issuer: OpenIdIssuer, sign: Callable[[dict[str, Any]], str]
) -> None:
    log_in(identity, issuer)
    issuer.sign = sign
    with pytest.raises(ServerDown, match="not signed as it must be"):
        identity.token(None)
    issuer.sign = signed
    assert identity.token(None).subject == "user-1"  # the newer refresh token was not lost


@pytest.mark.parametrize(
    ("claims", "said"), [*BADLY_SAID[:5], ({"sub": "user-2"}, "somebody else")]
)
def test_a_refresh_has_to_say_the_same(
    identity: OidcIdentity, issuer: OpenIdIssuer, claims: dict[str, Any], said: str
) -> None:
    log_in(identity, issuer)
    issuer.claims = claims
    with pytest.raises(ServerDown, match=said):
        identity.token(None)


@pytest.mark.parametrize(("ahead", "side"), [(600, "behind"), (-600, "ahead of")])
def test_a_clock_that_is_off_is_named(
    identity: OidcIdentity, issuer: OpenIdIssuer, ahead: float, side: str
) -> None:
    issuer.ahead = ahead
    with pytest.raises(ClockSkew, match=side) as caught:
        log_in(identity, issuer)
    assert abs(caught.value.details["offset"] - ahead) < 30
    assert identity.standing().state == "login"


@pytest.mark.parametrize("ahead", [600, -600])
def test_a_clock_that_is_set_wrong_later_is_named_too(
    identity: OidcIdentity, issuer: OpenIdIssuer, ahead: float
) -> None:
    log_in(identity, issuer)
    issuer.ahead = ahead
    with pytest.raises(ClockSkew):
        identity.token(None)
    issuer.ahead = 0
    assert identity.token(None).subject == "user-1"


def test_no_clock_excuses_a_wrong_issuer(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    issuer.ahead, issuer.claims = 600, {"iss": "https://other.example", "iat": NOW, "exp": NOW + 99}
    with pytest.raises(LoginRefused, match="issuer"):
        log_in(identity, issuer)


def test_no_error_repeats_a_token(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    made: list[str] = []

    def sign(claims: dict[str, Any]) -> str:
        made.append(with_own_key(claims))
        return made[-1]

    issuer.sign = sign
    with pytest.raises(LoginRefused) as caught:
        log_in(identity, issuer)
    errors: list[BaseException] = []
    error: BaseException | None = caught.value
    while error is not None:
        errors.append(error)
        error = error.__cause__ or error.__context__
    shown = "".join(repr(each) + str(vars(each)) for each in errors)
    assert len(made[0]) > 100
    assert not any(part in shown for part in made[0].split("."))
    assert all(isinstance(each, BrokerError) for each in errors)
