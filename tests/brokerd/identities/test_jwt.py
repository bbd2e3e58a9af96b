"""What is read of a token, and which are refused before they are sent anywhere."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokerd.identities.base import Token
from brokerd.identities.jwt import MAX_BYTES, Clocks, token_of
from brokershim.errors import BrokerError, ClockSkew, IdentityExpired, IdentityUnavailable
from tests.support.tokens import AUDIENCE, token

WALL, NOW = 1_800_000_000.0, 5_000.0
CLOCKS = Clocks(lambda: WALL, lambda: NOW)
TIMES = {"iat": WALL, "exp": WALL + 300}


def read(text: str, audience: str | None = AUDIENCE) -> Token:
    return token_of(text, "the token in /run/token", audience, CLOCKS)


def handmade(header: Any, claims: Any, signature: str = "c2ln") -> str:
    parts = (json.dumps(each).encode() for each in (header, claims))
    encoded = [base64.urlsafe_b64encode(each).decode().rstrip("=") for each in parts]
    return ".".join([*encoded, signature])


def test_it_says_who_and_until_when() -> None:
    text = token(jti="once", **TIMES)
    expected = Token(text, "https://issuer.example.com", "robot", NOW + 300, "once")
    assert read(text) == expected


def test_a_token_that_names_no_issuer_and_no_id_is_good() -> None:
    found = read(token(iss=None, jti=None, **TIMES))
    assert (found.issuer, found.id) == ("", None)


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["other", AUDIENCE]])
def test_it_may_be_for_several(audience: object) -> None:
    assert read(token(audience, **TIMES)).subject == "robot"


@pytest.mark.parametrize("audience", ["other", ["other"], [AUDIENCE + "/"], AUDIENCE[:-1]])
def test_another_audience_is_refused_and_both_are_named(audience: object) -> None:
    with pytest.raises(IdentityUnavailable) as refused:
        read(token(audience, **TIMES))
    named = audience if isinstance(audience, str) else "".join(audience)  # type: ignore[arg-type]
    assert f"is for {named}, and not for {AUDIENCE}" in refused.value.message


@pytest.mark.parametrize("audience", [None, [], 5, {AUDIENCE: 1}, [[AUDIENCE]], [None]])
def test_one_for_nobody_is_refused(audience: object) -> None:
    with pytest.raises(IdentityUnavailable, match="is for nobody"):
        read(handmade({"alg": "ES256"}, {"aud": audience, "exp": WALL + 300}))


def test_without_an_audience_it_may_be_for_anyone() -> None:
    assert read(token("anyone", **TIMES), audience=None).subject == "robot"


@pytest.mark.parametrize("over", [0, 1, 600])
def test_one_that_is_over_says_since_when(over: int) -> None:
    with pytest.raises(IdentityExpired, match="over at 2027-01-15T") as refused:
        read(token(iat=WALL - 900, exp=WALL - over))
    assert "/run/token" in refused.value.message


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_one_that_is_not_valid_yet_says_that_a_clock_is_off(claim: str) -> None:
    times = {"iat": WALL, "exp": WALL + 900, claim: WALL + 600}
    with pytest.raises(ClockSkew, match="is valid from 2027-01-15T08:10:00Z on, and here it is"):
        read(token(**times))


def test_an_issuer_may_be_a_little_ahead() -> None:
    assert read(token(iat=WALL + 59, nbf=WALL + 59, exp=WALL + 300)).subject == "robot"


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "time", ["tomorrow", True, -1, 1e300, 10**400, float("nan"), float("inf"), [], {}]
)
def test_a_time_that_is_none_is_refused(claim: str, time: object) -> None:
    with pytest.raises(IdentityUnavailable, match=f"the {claim} of .* is not a time"):
        read(handmade({"alg": "ES256"}, {"aud": AUDIENCE, **TIMES, claim: time}))


def test_one_that_never_ends_is_refused() -> None:
    with pytest.raises(IdentityUnavailable, match="never ends"):
        read(token(iat=WALL, exp=None))


@pytest.mark.parametrize("claim", ["iss", "sub", "jti"])
@pytest.mark.parametrize("value", [5, ["robot"], "ro\nbot", "ro\x1b[2Jbot"])
def test_a_name_that_is_no_text_is_refused(claim: str, value: object) -> None:
    with pytest.raises(IdentityUnavailable, match=f"the {claim} of"):
        read(handmade({"alg": "ES256"}, {"aud": AUDIENCE, **TIMES, claim: value}))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", 5, None])
def test_one_that_is_not_signed_is_refused(algorithm: object) -> None:
    with pytest.raises(IdentityUnavailable, match="is not signed"):
        read(handmade({"alg": algorithm}, {"aud": AUDIENCE, **TIMES}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sk-proj-an-api-key-and-no-token",
        "a.b",
        "a.b.c.d",
        handmade({"alg": "ES256"}, {"aud": AUDIENCE, **TIMES}, signature=""),
        handmade({"alg": "ES256"}, [1]),
        handmade("ES256", {"aud": AUDIENCE, **TIMES}),
        token(**TIMES) + "\nX-Evil: 1",
        "Bearer " + token(**TIMES),
        "e30.====.c2ln",
        "x" * (MAX_BYTES + 1),
        token(long="x" * MAX_BYTES, **TIMES),
    ],
)
def test_what_is_no_signed_token_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(IdentityUnavailable, match="is not a signed JWT") as refused:
        read(text)
    assert refused.value.message == "the token in /run/token is not a signed JWT"
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


@settings(max_examples=200)
@given(st.text(alphabet="eyJ.-_09=[{}\n", max_size=60), st.none() | st.just(AUDIENCE))
def test_any_text_is_a_token_or_a_typed_error(text: str, audience: str | None) -> None:
    with pytest.raises(BrokerError):
        read(text, audience)
