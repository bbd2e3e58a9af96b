"""Credentials, with the backend behind them and the time in a test's hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from brokerd.blocking import Blocking
from brokerd.credentials import Credentials
from brokerd.sealed import Sealer
from tests.support.backends import FakeBackend


@dataclass
class Cache:
    """Credentials, the backend behind them, and the time."""

    backend: FakeBackend
    credentials: Credentials
    now: float = 1000.0

    async def get(self) -> bytes:
        _, credential = await self.credentials.get("a")
        return credential.value

    def asked(self, times: int = 1) -> list[asyncio.Task[bytes]]:
        return [asyncio.get_running_loop().create_task(self.get()) for _ in range(times)]

    async def is_reading(self) -> None:
        """Wait until a fetch has read its key, and stands before the gate."""
        assert await asyncio.to_thread(self.backend.reading.acquire, timeout=5)


@asynccontextmanager
async def caching(backend: FakeBackend, deadline: float = 5.0) -> AsyncGenerator[Cache]:
    blocking, sealer = Blocking(deadline), Sealer()

    def now() -> float:
        return found.now

    credentials = Credentials({"fake": backend}, lambda _: "fake", sealer, blocking, now)
    found = Cache(backend, credentials)
    try:
        yield found
    finally:
        backend.gate.set()
        blocking.close()
        sealer.close()
