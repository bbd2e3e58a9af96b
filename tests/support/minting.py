"""Minting, with a backend, a journal and the time in a test's hands."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from brokerd.asking import Asking
from brokerd.audit.group import GroupCommit
from brokerd.blocking import Blocking
from brokerd.breaker import Breaker
from brokerd.journal import Journal
from brokerd.minting import Minting
from brokerd.refusals import Refusals
from brokerd.upstream import Upstream
from tests.support.backends import FakeBackend
from tests.support.cache import Audit


@dataclass
class Mint:
    """Minting, and what is around it."""

    backend: FakeBackend
    minting: Minting
    upstream: Upstream
    journal: Journal
    breaker: Breaker
    now: float = 1000.0

    def pending(self) -> list[str]:
        """Return what is in the journal, as the backend names it."""
        return [each.upstream for each in self.journal.pending()]

    async def settles(self) -> None:
        """Wait until all that is to be revoked is."""
        await self.upstream.settle(5)
        assert len(self.upstream) == 0


@asynccontextmanager
async def a_mint(
    folder: Path, backend: FakeBackend | None = None, deadline: float = 5.0
) -> AsyncGenerator[Mint]:
    """Put it together, on what an earlier one left in the folder."""
    steered = backend or FakeBackend(minting=True)

    def now() -> float:
        return found.now

    audit, journal = cast(GroupCommit, Audit()), Journal(str(folder / "journal"))
    blocking, breaker = Blocking(deadline), Breaker("fake", lambda: 1.0)
    backends = {"fake": steered}
    refusals = Refusals(audit, lambda: 0.0)
    asking = Asking(backends, {"fake": breaker}, blocking, audit, refusals, now)
    upstream = Upstream(backends, journal, audit, blocking)
    minting = Minting(backends, lambda _: "fake", asking, upstream, now)
    found = Mint(steered, minting, upstream, journal, breaker)
    try:
        yield found
    finally:
        steered.gate.set()
        await upstream.close(0)
        blocking.close()
        journal.close()
