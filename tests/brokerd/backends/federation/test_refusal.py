"""What is told of a provider's no, and what is not?"""

from __future__ import annotations

import email.utils
import json
import secrets
import time

import pytest

from brokershim.errors import ClockSkew, ExchangeRefused
from tests.support.bare_server import BareServer
from tests.support.federated import NAME, Federated, federated
from tests.support.provider import Answer, Asked


def _refuse(parts: Federated, document: object, status: int = 401) -> ExchangeRefused:
    parts.endpoint.instead = [Answer(status, json.dumps(document).encode())]
    with pytest.raises(ExchangeRefused) as caught:
        parts.backend.fetch(NAME)
    return caught.value


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_the_reason_is_the_providers(one: Federated, status: int) -> None:
    standard = {"error": "invalid_grant", "error_description": "no rule matches sub"}
    error = _refuse(one, standard, status)
    assert error.message.endswith("refuses the exchange: invalid_grant: no rule matches sub")
    assert error.details == {"status": status, "reason": "invalid_grant: no rule matches sub"}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"error": {"type": "authentication_error", "message": "no"}}, "authentication_error: no"),
        ({"error": {"message": "no such provider", "code": "x"}}, "no such provider"),
        ({"error": {"code": 401, "message": "denied"}}, "denied"),
        ({"error": "access_denied"}, "access_denied"),
        ({"error": 7, "error_description": ["a"]}, "status 401"),
        ({"detail": "no"}, "status 401"),
        ([], "status 401"),
    ],
)
def test_in_whatever_shape(one: Federated, document: object, reason: str) -> None:
    assert _refuse(one, document).details["reason"] == reason


def test_each_vendor_in_its_own(each: Federated) -> None:
    each.identity.claims["sub"] = "somebody-else"
    with pytest.raises(ExchangeRefused, match="invalid_grant: no rule for this issuer"):
        each.backend.fetch(NAME)


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"aud": "https://other.example"}, "the audience is https://other.example"),
        ({"iss": "https://other.example"}, "no rule for this issuer"),
        ({"exp": 1}, "expired"),
        ({"nbf": 9_999_999_999}, "not yet valid"),
        ({"jti": None}, "jti"),
        ({"jti": "the-same"}, "jti"),
    ],
)
def test_a_token_that_does_not_fit(one: Federated, claims: dict[str, object], reason: str) -> None:
    if claims == {"jti": "the-same"}:
        one.identity.claims = {**claims, "more": "of another token"}
        one.backend.fetch(NAME)
    one.identity.claims = dict(claims)
    with pytest.raises(ExchangeRefused, match=reason):
        one.backend.fetch(NAME)


def test_a_token_of_another_key(one: Federated) -> None:
    with federated("openai") as other:
        one.identity._issuer = other.issuer
        with pytest.raises(ExchangeRefused, match="signature"):
            one.backend.fetch(NAME)


@pytest.mark.parametrize("kind", ["anthropic", "openai", "openrouter"])
def test_what_a_server_repeats_is_not_shown(kind: str) -> None:
    """A server that sends back all that it was sent, and a token of its own."""
    key = "sk-ant-oat01-" + secrets.token_urlsafe(24)

    def echo(asked: Asked) -> Answer:
        words = f"I got {asked.body.decode()} and had {key} for it"
        return Answer(401, json.dumps({"error": "x" * 40, "error_description": words}).encode())

    with federated(kind) as parts:
        parts.endpoint.instead = [echo]
        with pytest.raises(ExchangeRefused) as caught:
            parts.backend.fetch(NAME)
        assert parts.identity.last is not None
        shown = repr(caught.value) + str(caught.value.to_wire())
        for part in (parts.identity.last.value, *parts.identity.last.value.split("."), key):
            assert part not in shown
            assert part[:24] not in shown
        assert "I got" in shown
        assert caught.value.__context__ is None


@pytest.mark.parametrize(("off", "side"), [(600, "behind"), (-600, "ahead of")])
def test_a_clock_that_is_off_is_named(one: Federated, off: int, side: str) -> None:
    error = _refuse_with_date(one, off)
    assert isinstance(error, ClockSkew)
    assert f" s {side} the one of" in error.message
    assert "invalid_grant: expired" in error.message
    assert abs(error.details["skew"] - off) < 3
    assert str(abs(error.details["skew"])) in error.message


@pytest.mark.parametrize("off", [50, -50, 0])
def test_a_little_is_within_bounds(one: Federated, off: int) -> None:
    assert isinstance(_refuse_with_date(one, off), ExchangeRefused)


def test_a_key_that_is_over_may_be_the_clocks_fault(one: Federated) -> None:
    error = _refuse_with_date(one, 600, 200, {"access_token": "a", "expires_in": 0})
    assert isinstance(error, ClockSkew)
    assert "over already" in error.message


def _refuse_with_date(
    parts: Federated, off: int, status: int = 401, document: object = None
) -> Exception:
    said = document or {"error": "invalid_grant", "error_description": "expired"}
    body = json.dumps(said).encode()
    date = email.utils.formatdate(time.time() + off, usegmt=True)
    head = f"HTTP/1.1 {status} X\r\ndate: {date}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with BareServer(lambda talking: talking.sendall(head + body)) as server:
        backend = parts.build({"token_endpoint": server.url})
        with pytest.raises((ClockSkew, ExchangeRefused)) as caught:
            backend.fetch(NAME)
    return caught.value
