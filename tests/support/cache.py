"""Credentials, with the backend behind them and the time in a test's hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from brokerd.asking import Asking
from brokerd.audit.group import GroupCommit
from brokerd.blocking import Blocking
from brokerd.breaker import Breaker
from brokerd.credentials import Credentials
from brokerd.refusals import Refusals
from brokerd.sealed import Sealer
from brokershim.errors import AuditUnavailable
from tests.support.backends import FakeBackend


@dataclass
class Audit:
    """What is on record; or why nothing can be."""

    events: list[dict[str, Any]] = field(default_factory=list)
    failure: AuditUnavailable | None = None

    async def record(self, event: str, **facts: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.events.append({"event": event, **facts})


@dataclass
class Cache:
    """Credentials, the backend behind them, and the time."""

    backend: FakeBackend
    credentials: Credentials
    breaker: Breaker
    audit: Audit
    now: float = 1000.0

    async def get(self, name: str = "a") -> bytes:
        _, credential = await self.credentials.get(name)
        return credential.value

    def asked(self, times: int = 1, name: str = "a") -> list[asyncio.Task[bytes]]:
        return [asyncio.get_running_loop().create_task(self.get(name)) for _ in range(times)]

    async def is_reading(self) -> None:
        """Wait until a fetch has read its key, and stands before the gate."""
        assert await asyncio.to_thread(self.backend.reading.acquire, timeout=5)


@asynccontextmanager
async def caching(backend: FakeBackend, deadline: float = 5.0) -> AsyncGenerator[Cache]:
    blocking, sealer, audit = Blocking(deadline), Sealer(), Audit()

    def now() -> float:
        return found.now

    backends = {"fake": backend}
    breakers = {"fake": Breaker("fake", lambda: 1.0)}
    recorded = cast(GroupCommit, audit)
    refusals = Refusals(recorded, lambda: 0.0)
    asking = Asking(backends, breakers, blocking, recorded, refusals, now)
    credentials = Credentials(backends, lambda _: "fake", sealer, asking, now, lambda: 1.0)
    found = Cache(backend, credentials, breakers["fake"], audit)
    try:
        yield found
    finally:
        backend.gate.set()
        blocking.close()
        sealer.close()
