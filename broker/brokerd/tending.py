"""Which backend has something of its own to keep alive, and when is it due?

A login at a secret store ends, and with it all that was made under it, unless it is renewed in
time.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from functools import partial

from brokerd.backends.base import Backend, TendedBackend, is_tended
from brokerd.blocking import Blocking
from brokerd.pace import pause
from brokershim.errors import BrokerError

_FIRST_RETRY_SECONDS = 2.0
_log = logging.getLogger(__name__)


class Tending:
    """Lets backends do what is due, each in its own time.

    Args:
        backends: The configured backends by name.
        blocking: Runs what may block.
        now: The time, in seconds of `brokershim.clock.now`.
        draw: Gives a number from 0 to 1, at random, for the jitter.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        blocking: Blocking,
        now: Callable[[], float],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._backends = {name: each for name, each in backends.items() if is_tended(each)}
        self._blocking = blocking
        self._now = now
        self._draw = draw
        self._failures = dict.fromkeys(self._backends, 0)
        self._not_before = dict.fromkeys(self._backends, float("-inf"))
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def look(self) -> None:
        """Begin what is due at each backend where nothing is under way."""
        for name, backend in self._backends.items():
            if name not in self._under_way and self._is_due(name, backend):
                task = asyncio.get_running_loop().create_task(self._tend(name, backend))
                self._under_way[name] = task
                task.add_done_callback(partial(self._done, name))

    async def close(self, seconds: float) -> None:
        """Let every backend give back what it holds, and wait a while for that."""
        if not self._backends:
            return
        loop = asyncio.get_running_loop()
        tasks = {loop.create_task(self._close(*each)): each[0] for each in self._backends.items()}
        done, _ = await asyncio.wait(tasks, timeout=seconds)
        for task in done:
            _report(tasks[task], task)

    def _is_due(self, name: str, backend: TendedBackend) -> bool:
        due = backend.due_at()
        return due is not None and self._now() >= max(due, self._not_before[name])

    def _done(self, name: str, task: asyncio.Task[None]) -> None:
        del self._under_way[name]
        if _report(name, task):
            self._put_off(name)

    async def _tend(self, name: str, backend: TendedBackend) -> None:
        try:
            await self._blocking.run(f"backend {name}", backend.tend)
            self._failures[name] = 0
        except BrokerError as error:
            self._put_off(name)
            _log.warning("backend %s is not tended yet: %s", name, error.message)

    def _put_off(self, name: str) -> None:
        self._failures[name] += 1
        wait = pause(self._failures[name], _FIRST_RETRY_SECONDS, self._draw)
        self._not_before[name] = self._now() + wait

    async def _close(self, name: str, backend: TendedBackend) -> None:
        try:
            await self._blocking.run(f"backend {name}", backend.close)
        except BrokerError as error:
            _log.warning("what backend %s holds is not given back: %s", name, error.message)


def _report(name: str, task: asyncio.Task[None]) -> bool:
    """Return whether a task ended in a fault of ours, and say so; its text might hold anything."""
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _log.error("backend %s cannot be tended: %s", name, type(error).__name__)
    return error is not None
