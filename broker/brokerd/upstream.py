"""Is every credential that a backend made for a lease ended there too, even after a crash?

The journal names it before the key goes out, and forgets it once the backend has ended it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextvars import Context
from functools import partial

from brokerd.audit.group import GroupCommit
from brokerd.backends.base import Backend
from brokerd.blocking import Blocking
from brokerd.journal import Journal
from brokershim.errors import AuditUnavailable, BrokerError

_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 60.0
_AT_ONCE = 8
"""Revocations under way at one backend: the leases of one that hangs, however many there were, must
not take every thread of the daemon."""
_log = logging.getLogger(__name__)


class Upstream:
    """Ends credentials at the backends that made them, and tries until they are.

    Args:
        backends: The configured backends by name.
        journal: What is open upstream.
        audit: Told of each revocation.
        blocking: Runs what may block.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        journal: Journal,
        audit: GroupCommit,
        blocking: Blocking,
    ) -> None:
        self._backends = backends
        self._journal = journal
        self._audit = audit
        self._blocking = blocking
        self._places = {name: asyncio.Semaphore(_AT_ONCE) for name in backends}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def __len__(self) -> int:
        """Return how much is being revoked, and is not yet."""
        return len(self._tasks)

    def about_to(self, lease_id: str, backend: str, upstream: str) -> None:
        """Write down what ends all that is about to be made for a lease.

        Raises:
            AuditUnavailable: It cannot be written, so nothing must be made.
        """
        self._journal.opened(lease_id, backend, upstream)

    def made(self, lease_id: str, backend: str, upstream: str) -> None:
        """Write down what was made, before its key goes out.

        Raises:
            AuditUnavailable: It cannot be written, so the key must not go out; what was made is
                being revoked.
        """
        try:
            if self._journal.holds(lease_id):
                self._journal.amended(lease_id, upstream)
            else:
                self._journal.opened(lease_id, backend, upstream)
        except AuditUnavailable:
            self.end(lease_id, backend, upstream)
            raise

    def made_nothing(self, lease_id: str) -> None:
        """Take in that nothing was made after all."""
        try:
            self._journal.closed(lease_id)
        except AuditUnavailable as error:
            _log.error("lease %s stays in the journal, though it is over: %s", lease_id, error)

    def end(self, lease_id: str, backend: str, upstream: str) -> None:
        """Begin to revoke what a backend made, or may have made, for a lease.

        Once this is closed, the journal keeps it for the next start.
        """
        if self._closed:
            return
        # In no client's context: a client's place among the threads is not waited for.
        task = asyncio.get_running_loop().create_task(
            self._revoke(lease_id, backend, upstream), context=Context()
        )
        self._tasks.add(task)
        task.add_done_callback(partial(self._done, lease_id))

    def resume(self) -> None:
        """Begin to revoke what a daemon before this one left open."""
        for entry in self._journal.pending():
            self.end(entry.lease, entry.backend, entry.upstream)

    async def settle(self, seconds: float) -> None:
        """Wait a while for what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def close(self, seconds: float) -> None:
        """Wait a while for what is under way; the journal keeps the rest for the next start."""
        await self.settle(seconds)
        self._closed = True
        for task in self._tasks:
            task.cancel()

    def _done(self, lease_id: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # a fault of ours: its text might hold anything
            _log.error("lease %s is left in the journal: %s", lease_id, type(error).__name__)

    async def _revoke(self, lease_id: str, backend: str, upstream: str) -> None:
        pause = _FIRST_RETRY_SECONDS
        while not await self._try(lease_id, backend, upstream):
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_RETRY_SECONDS)

    async def _try(self, lease_id: str, backend: str, upstream: str) -> bool:
        known = self._backends.get(backend)
        if known is None:  # taken out of the configuration since; kept in the journal
            _log.warning("lease %s: backend %s is not configured any more", lease_id, backend)
            return False
        try:
            async with self._places[backend]:
                await self._blocking.run(f"backend {backend}", known.revoke, upstream)
            self._journal.closed(lease_id)
            await self._audit.record("upstream.revoked", lease=lease_id, backend=backend)
        except AuditUnavailable as error:
            _log.error("lease %s was revoked, which the audit does not say: %s", lease_id, error)
        except BrokerError as error:
            _log.warning("lease %s is not revoked yet: %s", lease_id, error)
            return False
        return True
