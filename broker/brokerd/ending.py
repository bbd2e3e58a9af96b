"""What happens when a lease ends? The same, whatever ended it.

Forgotten first, so that nothing more is served from it; then its holder is told, the audit is
written, and the backend revokes what it made for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum

from brokerd.audit.group import GroupCommit
from brokerd.leases import Lease, LeaseTable
from brokerd.upstream import Upstream
from brokershim.errors import AuditUnavailable

_log = logging.getLogger(__name__)
Notify = Callable[[int, str, Mapping[str, str]], None]
"""Tells the holder on a connection: its number, the notification's method and params."""


class Reason(StrEnum):
    """Why a lease ended, as the audit says it."""

    EXPIRED = "expired"
    RELEASED = "released"
    HOLDER_GONE = "holder's connection closed"
    SESSION_ENDED = "session ended"
    REVOKED = "revoked by hand"
    ROTATED = "secret rotated"
    REPLACED = "a newer key takes its place"
    REMOVED = "secret removed"
    POLICY = "no longer granted"
    REFUSED = "no longer given by its backend"
    REJECTED = "rejected by the provider"
    LOCKED = "store locked"
    STOPPED = "daemon stopped"
    UNDELIVERED = "never delivered"


_HOLDER_KNOWS = {Reason.RELEASED, Reason.HOLDER_GONE, Reason.REJECTED, Reason.UNDELIVERED}
_ACQUIRE_AGAIN = {Reason.ROTATED, Reason.REPLACED}


class Endings:
    """Ends leases.

    Args:
        leases: The live ones.
        audit: Told of each end.
        upstream: Revokes at the backend.
        notify: Tells the holder.
    """

    def __init__(
        self, leases: LeaseTable, audit: GroupCommit, upstream: Upstream, notify: Notify
    ) -> None:
        self._leases = leases
        self._audit = audit
        self._upstream = upstream
        self._notify = notify
        self._writing: set[asyncio.Task[None]] = set()

    def end(self, leases: Iterable[Lease], reason: Reason) -> int:
        """End leases and return how many were live.

        An end is never held up: a lease whose end cannot be audited ends all the same, and
        the audit log that cannot be written stops every new one.
        """
        ended = [lease for lease in leases if self._leases.remove(lease)]
        for lease in ended:
            if reason not in _HOLDER_KNOWS:
                self._tell(lease, reason)
            if lease.upstream is not None:
                self._upstream.end(lease.id, lease.backend, lease.upstream)
            self._write(lease, reason)
        return len(ended)

    async def settle(self) -> None:
        """Wait until the ends so far are in the audit."""
        if self._writing:
            await asyncio.wait(self._writing)

    def _tell(self, lease: Lease, reason: Reason) -> None:
        method = "secret.rotated" if reason in _ACQUIRE_AGAIN else "lease.revoked"
        params = {"lease": lease.id, "secret": lease.secret, "reason": reason.value}
        self._notify(lease.connection, method, params)

    def _write(self, lease: Lease, reason: Reason) -> None:
        task = asyncio.get_running_loop().create_task(self._record(lease, reason))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _record(self, lease: Lease, reason: Reason) -> None:
        try:
            await self._audit.record(
                "lease.ended",
                lease=lease.id,
                secret=lease.secret,
                session=lease.session,
                pid=lease.pid,
                reason=reason.value,
                bounded_by=lease.bounded_by.value,
            )
        except AuditUnavailable as error:
            _log.error("the end of lease %s is not in the audit: %s", lease.id, error)
