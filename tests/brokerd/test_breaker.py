from __future__ import annotations

import asyncio

import pytest

from brokerd.breaker import Breaker, Health
from brokershim.errors import (
    BackendTimeout,
    BackendUnavailable,
    BrokerError,
    ClockSkew,
    ExchangeRefused,
    IdentityExpired,
    KeyringUnavailable,
    LoginRequired,
    RateLimited,
    ServerDown,
    StoreCorrupted,
)

_DOWN = ServerDown("api.example.com cannot be reached")
_CLOSED = Health("closed", 0, None, "")


class _Try:
    """A breaker, the time, and whether its jitter is at its longest or shortest."""

    def __init__(self, draw: float = 1.0) -> None:
        self.now = 1000.0
        self.breaker = Breaker("corp", lambda: draw)

    def fails(self, error: BrokerError = _DOWN, times: int = 1) -> None:
        for _ in range(times):
            with pytest.raises(type(error)) as raised, self.breaker.attempt(lambda: self.now):
                raise error
            assert raised.value is error  # it was asked

    def answers(self) -> None:
        with self.breaker.attempt(lambda: self.now):
            pass

    def is_not_asked(self) -> ServerDown:
        with pytest.raises(ServerDown) as refused, self.breaker.attempt(lambda: self.now):
            pytest.fail("it was asked")
        return refused.value

    @property
    def health(self) -> Health:
        return self.breaker.health(self.now)


def test_a_backend_that_answers_is_asked() -> None:
    it = _Try()
    for _ in range(10):
        it.answers()
    assert it.health == _CLOSED


@pytest.mark.parametrize("error", [_DOWN, BackendTimeout("api.example.com does not answer")])
def test_three_failures_in_a_row_open_it(error: BrokerError) -> None:
    it = _Try()
    it.fails(error, 2)
    assert it.health == Health("closed", 2, None, error.message)
    it.fails(error)
    assert it.health == Health("open", 3, 5.0, error.message)
    refused = it.is_not_asked()
    assert error.message in refused.message
    assert "in 5 s" in refused.message
    assert refused.details == {"retry_in": 5.0, "sent": False}


def test_failures_with_an_answer_between_them_do_not() -> None:
    it = _Try()
    for _ in range(5):
        it.fails(times=2)
        it.answers()
    assert it.health == _CLOSED


def test_a_refusal_is_an_answer() -> None:
    it = _Try()
    it.fails(times=2)
    it.fails(ExchangeRefused("no such rule"))
    assert it.health == _CLOSED


@pytest.mark.parametrize(
    "kind",
    [BackendUnavailable, KeyringUnavailable, StoreCorrupted, ClockSkew, LoginRequired,
     IdentityExpired],
)  # fmt: skip
def test_what_is_not_about_the_server_tells_nothing(kind: type[BrokerError]) -> None:
    it = _Try()
    it.fails(kind("not its fault"), 10)
    assert it.health == _CLOSED
    it.fails(times=2)
    it.fails(kind("not its fault"))
    it.fails()
    assert it.health.state == "open"


def test_after_its_pause_one_request_tries_it_and_closes_it() -> None:
    it = _Try()
    it.fails(times=3)
    it.now += 4.9
    it.is_not_asked()
    it.now += 0.1
    assert it.health == Health("half-open", 3, None, _DOWN.message)
    with it.breaker.attempt(lambda: it.now):
        assert "just now" in it.is_not_asked().message
    assert it.health == _CLOSED


def test_the_pause_doubles_up_to_a_minute() -> None:
    it = _Try()
    it.fails(times=3)
    for pause in (5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0):
        assert it.health.retry_in == pause
        it.now += pause
        it.fails()
    for _ in range(2000):  # no number grows without end
        it.now += 60.0
        it.fails()
    assert it.health.retry_in == 60.0


def test_the_jitter_takes_half_the_pause_at_most() -> None:
    it = _Try(draw=0.0)
    it.fails(times=3)
    assert it.health.retry_in == 2.5


def test_a_server_that_asks_for_a_pause_gets_it_at_once() -> None:
    it = _Try()
    it.fails(RateLimited("slow down", details={"retry_after": 17.0}))
    assert it.health == Health("open", 1, 17.0, "slow down")
    assert type(it.is_not_asked()) is ServerDown
    it.now += 17.0
    it.answers()
    assert it.health == _CLOSED


def test_a_pause_of_no_given_length_is_the_first() -> None:
    it = _Try()
    it.fails(RateLimited("slow down"))
    assert it.health == Health("open", 1, 5.0, "slow down")


def test_many_that_fail_together_are_one_failure() -> None:
    it = _Try()
    attempts = [it.breaker.attempt(lambda: it.now) for _ in range(20)]
    for each in attempts:
        each.__enter__()
    for each in attempts:
        assert not each.__exit__(ServerDown, _DOWN, None)
    assert it.health == Health("open", 3, 5.0, _DOWN.message)


def test_a_late_answer_closes_it() -> None:
    it = _Try()
    with it.breaker.attempt(lambda: it.now):
        it.fails(times=3)
        assert it.health.state == "open"
    assert it.health == _CLOSED


@pytest.mark.parametrize("end", [asyncio.CancelledError, LoginRequired])
def test_a_probe_that_tells_nothing_leaves_it_to_the_next(end: type[BaseException]) -> None:
    it = _Try()
    it.fails(times=3)
    it.now += 5.0
    with pytest.raises(end), it.breaker.attempt(lambda: it.now):
        raise end("given up")
    assert it.health.state == "half-open"
    it.answers()
    assert it.health == _CLOSED
