"""A person who logs in elsewhere is waited for, and not without end."""

from __future__ import annotations

import threading

import pytest

from brokerd.identities.base import Standing
from brokerd.identities.oidc.clocks import Clocks
from brokerd.identities.oidc.patience import Patience
from brokershim.errors import LoginRefused, ServerDown

READY = Standing("ready", "there")


class Waiting:
    """Somebody who waits, and whose time passes at once."""

    def __init__(self, seconds: float = 600.0, interval: float = 5.0) -> None:
        self.now, self.ended = 0.0, 0
        self.waited: list[float] = []
        self.patience = Patience(seconds, interval, self._end, Clocks(self._boot, wait=self._wait))

    def _boot(self) -> float:
        return self.now

    def _end(self) -> None:
        self.ended += 1

    def _wait(self, given_up: threading.Event, seconds: float) -> bool:
        self.waited.append(seconds)
        self.now += seconds
        return given_up.is_set()


def test_it_is_asked_until_the_person_is_done() -> None:
    waiting, answers = Waiting(), iter([None, None, "a-token"])
    taken: list[str] = []

    def take(found: str) -> Standing:
        taken.append(found)
        return READY

    assert waiting.patience.run(lambda: next(answers), take) is READY
    assert (taken, waiting.waited, waiting.ended) == (["a-token"], [5.0] * 3, 1)


def test_nobody_is_waited_for_without_end() -> None:
    waiting = Waiting(seconds=1e9, interval=60.0)
    with pytest.raises(LoginRefused, match="within 900 s"):
        waiting.patience.run(lambda: None, lambda _: READY)
    assert (waiting.now, waiting.ended) == (840.0, 1)


@pytest.mark.parametrize(
    ("wanted", "interval"), [(None, 10.0), (30.0, 30.0), (1.0, 5.0), (1e9, 60.0)]
)
def test_it_is_asked_less_often_and_never_more(wanted: float | None, interval: float) -> None:
    patience = Waiting().patience
    patience.slower(wanted)
    assert patience.interval == interval


def test_a_person_gives_up_before_it_is_asked_at_all() -> None:
    waiting = Waiting()
    waiting.patience.cancel()
    assert waiting.ended == 1


def test_a_person_gives_up_while_it_is_asked() -> None:
    waiting = Waiting()
    with pytest.raises(LoginRefused, match="given up"):
        waiting.patience.run(waiting.patience.cancel, lambda _: READY)
    assert (len(waiting.waited), waiting.ended) == (2, 1)


def test_an_error_ends_it() -> None:
    def ask() -> None:
        raise ServerDown("away")

    waiting = Waiting()
    with pytest.raises(ServerDown):
        waiting.patience.run(ask, lambda _: READY)
    assert waiting.ended == 1
