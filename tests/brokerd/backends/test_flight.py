"""One attempt of many threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from brokerd.backends.flight import Flight
from brokershim.errors import BackendUnavailable, ServerDown
from tests.support.daemon import wait_until

_SECONDS = 10.0
_MANY = 8


def together(attempt: Callable[[], int]) -> list[BaseException | int]:
    """Let many threads join one attempt; return what each got."""
    flight: Flight[int] = Flight()
    begun, go_on = threading.Event(), threading.Event()
    times: list[int] = []

    def slow() -> int:
        times.append(1)
        begun.set()
        assert go_on.wait(_SECONDS)
        return attempt()

    with ThreadPoolExecutor(_MANY) as threads:
        first = threads.submit(flight.join, slow)
        assert begun.wait(_SECONDS)
        joined: Any = flight._under_way
        others = [threads.submit(flight.join, slow) for _ in range(_MANY - 1)]
        wait_until(lambda: len(joined._condition._waiters) == _MANY - 1)
        go_on.set()
        found = [each.exception(_SECONDS) or each.result() for each in [first, *others]]
    assert times == [1]
    assert flight._under_way is None
    return found


def test_all_get_what_one_attempt_brings() -> None:
    assert together(lambda: 7) == [7] * _MANY


def test_all_hear_why_it_failed() -> None:
    error = ServerDown("it is away")

    def fails() -> int:
        raise error

    assert together(fails) == [error] * _MANY


def test_a_fault_of_ours_leaves_nobody_waiting() -> None:
    def fails() -> int:
        raise ZeroDivisionError

    found = together(fails)
    assert isinstance(found[0], ZeroDivisionError)
    assert {type(each) for each in found[1:]} == {BackendUnavailable}


def test_the_next_attempt_is_a_new_one() -> None:
    flight: Flight[int] = Flight()

    def fails() -> int:
        raise ServerDown("it is away")

    with pytest.raises(ServerDown):
        flight.join(fails)
    assert flight.join(lambda: 1) == 1
    assert flight.join(lambda: 2) == 2
