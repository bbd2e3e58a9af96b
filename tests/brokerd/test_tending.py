"""What a backend has to keep alive is tended in its own time, and given back in the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from brokerd.blocking import Blocking
from brokerd.tending import Tending
from brokershim.errors import ServerDown
from tests.support.backends import FakeBackend
from tests.support.serving import in_a_loop, until

_AWAY = ServerDown("away")


@dataclass
class _Tended(FakeBackend):
    """A backend whose login is due when the test says so."""

    due: float | None = None
    trouble: Exception | None = None
    tended: int = 0
    closed: int = 0

    def due_at(self) -> float | None:
        return self.due

    def tend(self) -> None:
        self.tended += 1
        assert self.gate.wait(5)
        if self.trouble is not None:
            raise self.trouble
        self.due = None

    def close(self) -> None:
        assert self.gate.wait(5)
        if self.trouble is not None:
            raise self.trouble
        self.closed += 1


@dataclass
class _Scene:
    tending: Tending
    corp: _Tended
    other: _Tended
    now: float = 1000.0

    async def look(self) -> None:
        """Look, and wait until what is begun has ended."""
        self.tending.look()
        await until(lambda: not self.tending._under_way)


@asynccontextmanager
async def _scene() -> AsyncGenerator[_Scene]:
    corp, other, blocking = _Tended(), _Tended(), Blocking()
    backends = {"corp": corp, "other": other, "plain": FakeBackend()}
    tending = Tending(backends, blocking, lambda: found.now, lambda: 1.0)
    found = _Scene(tending, corp, other)
    try:
        yield found
    finally:
        for each in (corp, other):
            each.gate.set()
        blocking.close()


@in_a_loop
async def test_each_is_tended_when_it_is_due() -> None:
    async with _scene() as scene:
        await scene.look()
        scene.corp.due, scene.other.due = scene.now + 10, scene.now + 20
        await scene.look()
        assert (scene.corp.tended, scene.other.tended) == (0, 0)
        scene.now += 10
        await scene.look()
        assert (scene.corp.tended, scene.other.tended) == (1, 0)
        scene.now += 10
        await scene.look()
        assert (scene.corp.tended, scene.other.tended) == (1, 1)


@in_a_loop
async def test_one_that_fails_is_tried_again_and_less_and_less_often() -> None:
    async with _scene() as scene:
        scene.corp.due, scene.corp.trouble = scene.now, _AWAY
        for seconds in (2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0):
            await scene.look()
            tended = scene.corp.tended
            scene.now += seconds - 0.1
            await scene.look()
            assert scene.corp.tended == tended
            scene.now += 0.1
        scene.corp.trouble = None
        await scene.look()
        scene.corp.due, scene.corp.trouble = scene.now, _AWAY
        await scene.look()
        scene.now += 2.0  # it begins anew
        tended = scene.corp.tended
        await scene.look()
        assert scene.corp.tended == tended + 1


@in_a_loop
async def test_one_is_tended_once_at_a_time_and_holds_up_no_other() -> None:
    async with _scene() as scene:
        scene.corp.due = scene.other.due = scene.now
        scene.corp.gate.clear()
        for _ in range(3):
            scene.tending.look()
            await until(lambda: scene.other.due is None)
        assert (scene.corp.tended, scene.other.tended) == (1, 1)
        scene.corp.gate.set()
        await until(lambda: not scene.tending._under_way)


@pytest.mark.parametrize("trouble", [_AWAY, KeyError("SECRET")])
@in_a_loop
async def test_what_goes_wrong_is_said_without_what_nobody_knows(
    caplog: pytest.LogCaptureFixture, trouble: Exception
) -> None:
    async with _scene() as scene:
        scene.corp.due, scene.corp.trouble = scene.now, trouble
        with caplog.at_level(logging.WARNING):
            await scene.look()
            assert "backend corp" in caplog.text
            caplog.clear()
            await scene.tending.close(5)
        assert "corp" in caplog.text
        assert "SECRET" not in caplog.text
        assert (scene.corp.closed, scene.other.closed) == (0, 1)
        tended = scene.corp.tended
        await scene.look()
        assert scene.corp.tended == tended  # put off, whatever it was


@in_a_loop
async def test_all_give_back_what_they_hold_and_one_that_hangs_is_not_waited_for() -> None:
    async with _scene() as scene:
        scene.corp.gate.clear()
        before = asyncio.get_running_loop().time()
        await scene.tending.close(0.05)
        assert asyncio.get_running_loop().time() - before < 2
        assert (scene.corp.closed, scene.other.closed) == (0, 1)


@in_a_loop
async def test_where_nothing_is_tended_there_is_nothing_to_close() -> None:
    blocking = Blocking()
    tending = Tending({"plain": FakeBackend()}, blocking, lambda: 0.0)
    tending.look()
    await tending.close(5)
    blocking.close()
