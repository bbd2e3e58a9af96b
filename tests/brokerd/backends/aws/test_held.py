"""Which credentials are kept, and until when?"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from brokerd.backends.aws.held import Held
from brokerd.backends.aws.login.base import Keys
from brokershim.errors import BackendRefused, IdentityUnavailable, ServerDown
from tests.support.aws_asking import Clock

_SECONDS = 10.0


class Takes:
    """Gives credentials that live for 900 seconds, each time others."""

    def __init__(self, clock: Clock) -> None:
        self.clock, self.times, self.login = clock, 0, 1
        self.failure: Exception | None = None
        self.life: float | None = 900.0
        self.meanwhile: Callable[[], None] = lambda: None

    def __call__(self) -> Keys:
        self.times += 1
        self.meanwhile()
        if self.failure is not None:
            raise self.failure
        ends = None if self.life is None else self.clock() + self.life
        return Keys(f"ASIA{self.times}", "secret", "token", ends)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def take(clock: Clock) -> Takes:
    return Takes(clock)


@pytest.fixture
def held(take: Takes, clock: Clock) -> Held:
    return Held(lambda: take.login, clock)


def test_they_are_kept_for_two_thirds_of_their_life(held: Held, take: Takes, clock: Clock) -> None:
    first = held.get("a", take)
    clock.now += 599.0
    assert held.get("a", take) is first
    clock.now += 2.0
    assert held.get("a", take) is not first
    assert take.times == 2


def test_each_thing_has_its_own(held: Held, take: Takes) -> None:
    assert held.get("a", take) != held.get("b", take)
    assert held.get("a", take).access_key == "ASIA1"


def test_those_of_a_user_are_asked_for_each_time(held: Held, take: Takes) -> None:
    take.life = None
    assert held.get("a", take) != held.get("a", take)


def test_another_login_drops_them_all(held: Held, take: Takes) -> None:
    held.get("a", take)
    held.get("b", take)
    take.login = 2
    held.get("a", take)
    assert [each.revision for each in held._entries.values()] == [2]


def test_what_was_asked_for_before_a_logout_is_not_kept(held: Held, take: Takes) -> None:
    def logs_out() -> None:
        take.login, take.meanwhile = 2, lambda: None

    take.meanwhile = logs_out
    assert held.get("a", take).access_key == "ASIA2"


def test_logins_that_never_settle_end(held: Held, take: Takes) -> None:
    def logs_out() -> None:
        take.login += 1

    take.meanwhile = logs_out
    with pytest.raises(IdentityUnavailable):
        held.get("a", take)
    assert take.times == 3
    assert held._entries == {}


def test_the_old_ones_live_on_while_there_are_no_newer(
    held: Held, take: Takes, clock: Clock
) -> None:
    first = held.get("a", take)
    clock.now += 601.0
    take.failure = ServerDown("it is away")
    assert held.get("a", take) is first
    assert held.get("a", take) is first
    assert take.times == 2  # a server that is away is not asked at every request
    clock.now += 31.0
    assert held.get("a", take) is first
    assert take.times == 3
    clock.now += 210.0
    with pytest.raises(ServerDown):  # less than a minute is left
        held.get("a", take)


def test_the_old_ones_are_not_kept_into_their_last_minute(
    held: Held, take: Takes, clock: Clock
) -> None:
    first = held.get("a", take)
    clock.now += 820.0  # of 900
    take.failure = ServerDown("it is away")
    assert held.get("a", take) is first
    clock.now += 21.0  # less than the pause
    with pytest.raises(ServerDown):
        held.get("a", take)


def test_a_refusal_is_not_passed_over(held: Held, take: Takes, clock: Clock) -> None:
    held.get("a", take)
    clock.now += 601.0
    take.failure = BackendRefused("no more")
    with pytest.raises(BackendRefused):
        held.get("a", take)


def test_old_ones_do_not_outlive_a_logout(held: Held, take: Takes, clock: Clock) -> None:
    held.get("a", take)
    clock.now += 601.0

    def logs_out() -> None:
        take.login = 2

    take.meanwhile, take.failure = logs_out, ServerDown("it is away")
    with pytest.raises(ServerDown):
        held.get("a", take)


def test_what_is_over_is_forgotten_and_nothing_newer(held: Held, take: Takes) -> None:
    first = held.get("a", take)
    held.get("b", take)
    held.forget(first)
    second = held.get("a", take)
    assert second != first
    held.forget(first)
    assert held.get("a", take) is second
    assert held.get("b", take).access_key == "ASIA2"


def test_dead_ones_do_not_stay_in_memory(held: Held, take: Takes, clock: Clock) -> None:
    dead = weakref.ref(held.get("a", take))
    clock.now += 899.0
    held.get("b", take)
    assert dead() is not None
    clock.now += 2.0
    held.get("b", take)
    assert dead() is None


def test_many_who_want_them_ask_once(held: Held, take: Takes) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        assert go_on.wait(_SECONDS)

    take.meanwhile = slow
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(held.get, "a", take)
        assert begun.wait(_SECONDS)
        others = [threads.submit(held.get, "a", take) for _ in range(7)]
        go_on.set()
        found = {each.result(_SECONDS).access_key for each in (first, *others)}
    assert found == {"ASIA1"}
    assert take.times == 1


def test_who_comes_as_an_attempt_ends_makes_no_other(
    held: Held, take: Takes, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = held.get("a", take)
    looks = iter([None, found])  # not yet as it comes, and there as its turn is
    monkeypatch.setattr(held, "_fresh", lambda _: next(looks))
    assert held.get("a", take) is found
    assert take.times == 1


def test_no_attempt_is_remembered(held: Held, take: Takes) -> None:
    """There may be one for every set of secrets that are read at once."""
    held.get("a", take)
    take.failure = ServerDown("away")
    with pytest.raises(ServerDown):
        held.get("b", take)
    assert held._flights == {}
