"""The whole daemon inside the test's own process, with a clock and a backend that the test sets.

This process is its own client, and the root of its own sessions.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest import mock

from brokerd import daemon as module
from brokerd.daemon import Daemon
from brokerd.listener import Listener
from brokershim.errors import from_wire
from tests.support.backends import FakeBackend
from tests.support.daemon import World
from tests.support.raw import request
from tests.support.serving import Talk

_START = 10_000.0
_TICK = 0.005


@dataclass
class Inner:
    """The daemon, and what a test turns.

    Attributes:
        backend: Where every secret comes from.
        time: What time the daemon sees; see `now`.
        running: The daemon's course; it may end with an error.
    """

    world: World
    backend: FakeBackend
    daemon: Daemon
    time: list[float]
    running: asyncio.Task[None]
    clients: list[InnerClient] = field(default_factory=list)

    @property
    def now(self) -> float:
        """Return what time the daemon sees."""
        return self.time[0]

    @now.setter
    def now(self, seconds: float) -> None:
        self.time[0] = seconds

    async def client(self) -> InnerClient:
        """Connect to it."""
        found = InnerClient(*await asyncio.open_unix_connection(self.world.socket))
        self.clients.append(found)
        await found.call("hello", protocol=1)
        return found

    async def holder(self, *secrets: str) -> InnerClient:
        """Connect, and open a session for the secrets."""
        found = await self.client()
        env = {f"V{n}": name for n, name in enumerate(secrets or ("a",))}
        await found.call("session.open", program="/bin/true", env=env)
        return found

    async def is_fetching(self) -> None:
        """Wait until a fetch has read its key, and stands before the backend's gate."""
        assert await asyncio.to_thread(self.backend.reading.acquire, timeout=5)

    def endings(self) -> dict[str, str]:
        """Return why each lease ended, as the audit says it."""
        return {each["lease"]: each["reason"] for each in self.world.events("lease.ended")}


@dataclass
class InnerClient(Talk):
    """One connection to it."""

    last: int = -1
    told: list[dict[str, Any]] = field(default_factory=list)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method, and raise what is answered."""
        self.last += 1
        mine = self.last
        self.send(request(method, mine, **params))
        while True:
            found = await self.reply()
            assert found, "the connection is over"
            if "method" in found:
                self.told.append(found)
            elif "error" in found:
                raise from_wire(found["error"])
            elif found["id"] == mine:
                return dict(found["result"])

    async def lease(self, secret: str = "a") -> str:
        """Lease a secret, and return the lease's id."""
        return str((await self.call("lease.acquire", secret=secret))["lease"])

    async def hears(self) -> dict[str, Any]:
        """Return what it is told next."""
        while not self.told:
            self.told.append(await self.reply())
        return self.told.pop(0)


@asynccontextmanager
async def inner_daemon(world: World, backend: FakeBackend | None = None) -> AsyncGenerator[Inner]:
    """Run it, and end it in order."""
    steered = backend or FakeBackend()

    time = [_START]
    with (
        mock.patch.dict(os.environ, world.environ),
        mock.patch("brokershim.clock.now", partial(time.__getitem__, 0)),
        mock.patch.object(module, "_TICK_SECONDS", _TICK),
        mock.patch.object(module, "_SHORTEST_TICK_SECONDS", _TICK),
    ):
        listener = Listener(world.socket)
        daemon = Daemon(listener, [], {"fake": steered}, lambda _: "fake")
        ready = asyncio.Event()
        running = asyncio.create_task(daemon.run(ready.set))
        found = Inner(world, steered, daemon, time, running)
        try:
            await ready.wait()
            yield found
        finally:
            steered.gate.set()
            for client in found.clients:
                await client.close()
            if not running.done():
                daemon._stopping.set()
                await running
