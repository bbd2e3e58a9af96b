"""What is sent, what is sent again, and what is never?"""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from brokershim.errors import (
    BackendTimeout,
    BrokerError,
    ClockSkew,
    IdentityExpired,
    LoginRequired,
    RateLimited,
    ServerDown,
)
from tests.support.federated import NAME, Federated, federated
from tests.support.provider import Answer, Misbehave

DAY = 24 * 3600.0
DOWN = Answer(503)


def _jtis(parts: Federated) -> list[str]:
    """Return the ids of the identity's tokens that were sent."""
    found: list[str] = []
    for asked in parts.endpoint.asked:
        claims = parts.issuer.verify(json.loads(asked.body)["assertion"])
        found.append(claims["jti"])
    return found


def test_a_token_is_never_sent_twice(one: Federated) -> None:
    one.backend.fetch(NAME)
    one.identity.repeat = True
    with pytest.raises(IdentityExpired, match="already") as caught:
        one.backend.fetch(NAME)
    assert "jti_reuse" in caught.value.hint
    assert len(one.endpoint.asked) == 1


@pytest.mark.parametrize("instead", [Answer(401), Answer(429), Answer(302), DOWN, Misbehave()])
def test_whatever_came_of_it(one: Federated, instead: Answer | Misbehave) -> None:
    one.identity.repeat = True
    one.endpoint.instead = [instead]
    for _ in range(2):
        with pytest.raises(BrokerError):
            one.backend.fetch(NAME)
    assert len(one.endpoint.asked) == 1


def test_nor_by_another_backend_that_asks_the_same_server(one: Federated) -> None:
    one.backend.fetch(NAME)
    one.identity.repeat = True
    with pytest.raises(IdentityExpired):
        one.build({"workspace_id": "default"}).fetch(NAME)


def test_nor_by_threads_at_once(one: Federated) -> None:
    one.identity.repeat = True
    one.identity.token("https://api.anthropic.com")
    with ThreadPoolExecutor(8) as pool:
        tries = [pool.submit(one.backend.fetch, NAME) for _ in range(8)]
    assert sum(each.exception() is None for each in tries) == 1
    assert len(one.endpoint.asked) == 1


def test_where_the_issuer_allows_it_one_is_good_for_more(one: Federated) -> None:
    one.endpoint.single_use = False
    one.identity.repeat = True
    backend = one.build({"jti_reuse": True})
    assert backend.fetch(NAME).value != backend.fetch(NAME).value


def test_one_that_never_left_can_still_be_sent(
    one: Federated, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brokerd.http.time.sleep", lambda _: None)
    one.identity.repeat = True
    with monkeypatch.context() as patch:
        patch.setattr("brokerd.roundtrip.socket.create_connection", _refuse)
        with pytest.raises(ServerDown, match="cannot be reached"):
            one.backend.fetch(NAME)
    assert one.pauses == []
    assert one.backend.fetch(NAME).value


def _refuse(*_: object) -> None:
    raise ConnectionRefusedError


@pytest.mark.parametrize(
    "instead", [DOWN, Answer(500), Misbehave(), Misbehave(b"HTTP/1.1 200 OK\r")]
)
def test_a_failed_exchange_is_repeated_once_with_another_token(
    one: Federated, instead: Answer | Misbehave
) -> None:
    one.endpoint.instead = [instead]
    assert one.backend.fetch(NAME).value
    first, second = _jtis(one)
    assert first != second
    assert one.pauses == [0.5]


def test_and_not_twice(one: Federated) -> None:
    one.endpoint.instead, one.share = [DOWN] * 5, 1.0
    with pytest.raises(ServerDown, match="status 503"):
        one.backend.fetch(NAME)
    assert len(set(_jtis(one))) == 2
    assert one.pauses == [1.0]


def test_without_another_token_it_is_not_repeated(one: Federated) -> None:
    one.identity.repeat = True
    one.endpoint.instead = [DOWN]
    with pytest.raises(ServerDown, match="status 503") as caught:
        one.backend.fetch(NAME)
    assert caught.value.__context__ is None
    assert len(one.endpoint.asked) == 1


@pytest.mark.parametrize(
    "instead", [Answer(400), Answer(401), Answer(403), Answer(404), Answer(302), Answer(501)]
)
def test_what_will_not_fare_better_is_not_repeated(one: Federated, instead: Answer) -> None:
    one.endpoint.instead = [instead]
    with pytest.raises(BrokerError, match="127"):
        one.backend.fetch(NAME)
    assert len(one.endpoint.asked) == 1
    assert one.pauses == []


def test_a_pause_that_is_asked_for_is_passed_on(one: Federated) -> None:
    one.endpoint.instead = [Answer(429, b"{}", (("retry-after", "17"),))]
    with pytest.raises(RateLimited) as caught:
        one.backend.fetch(NAME)
    assert caught.value.details["retry_after"] == 17
    assert len(one.endpoint.asked) == 1


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"[]", b'"x"', b"{}"])
def test_an_answer_that_is_none_is_the_servers_fault(one: Federated, body: bytes) -> None:
    one.endpoint.instead = [Answer(200, body)]
    with pytest.raises(ServerDown, match="answers no token"):
        one.backend.fetch(NAME)
    assert len(one.endpoint.asked) == 1


def test_ten_megabytes_are_no_answer(one: Federated) -> None:
    one.endpoint.instead = [Answer(200, b"a" * (10 * 1024 * 1024))]
    with pytest.raises(ServerDown, match="more than 1048576 bytes"):
        one.backend.fetch(NAME)


def test_a_server_that_hangs_is_given_up(one: Federated, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    reply = one.endpoint._provider.reply

    def hang(asked: Any) -> Answer:
        assert over.wait(30)
        return reply(asked)

    one.endpoint._provider.reply = hang
    monkeypatch.setattr("brokerd.roundtrip.TOTAL_SECONDS", 0.3)
    with pytest.raises(BackendTimeout, match="does not answer"):
        one.backend.fetch(NAME)
    over.set()
    assert len(set(_jtis(one))) == 2


@pytest.mark.parametrize("failure", [LoginRequired("log in"), ClockSkew("off"), ServerDown("no")])
def test_what_the_identity_says_is_passed_on(one: Federated, failure: Exception) -> None:
    one.identity.failure = failure
    with pytest.raises(type(failure)) as caught:
        one.backend.fetch(NAME)
    assert caught.value is failure
    assert one.endpoint.asked == []


def test_its_revision_is_the_identitys(one: Federated) -> None:
    before = one.backend.revision()
    one.identity.login += 1
    assert one.backend.revision() != before


@pytest.mark.parametrize(
    ("more", "secret", "shared"),
    [
        ({}, {}, True),
        ({}, {"max_ttl": "5m"}, True),
        ({}, {"hosts": ["other.example"]}, True),
        ({}, {"scope": "embed"}, False),
        ({"audience": "https://other.example"}, {}, False),
        ({"client_id": "broker"}, {}, False),
    ],
)
def test_secrets_of_one_exchange_share_a_key(
    more: dict[str, Any], secret: dict[str, Any], shared: bool
) -> None:
    with federated("rfc8693") as parts:
        this, other = parts.backend.key_of(NAME), parts.build(more, **secret).key_of(NAME)
        assert (this == other) is shared
        assert hash(this) is not None
        assert parts.backend.key_of("no/such") == "no/such"
