"""lease.list and lease.revoke: which leases are live, and how are they ended by hand?"""

from __future__ import annotations

from typing import Any

from brokerd.ending import Reason
from brokerd.leases import Lease
from brokerd.service.paging import number_of, page
from brokerd.service.parts import Caller, Parts
from brokerd.service.terms import Terms
from brokershim.errors import InvalidParams


class Revoking:
    """Lists leases, and ends them by hand."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._terms = Terms(parts)

    async def revoke(
        self,
        caller: Caller,
        *,
        lease: str | None = None,
        all: bool = False,  # noqa: A002  (the wire's name for it)
    ) -> dict[str, Any]:
        """End one lease, or all, by hand; the sessions may not lease those secrets again."""
        if (lease is None) is not all:
            raise InvalidParams("give either lease or all")
        chosen = list(self._parts.leases) if lease is None else [self._terms.live(lease)]
        for session in self._parts.sessions:
            named = {each.secret for each in chosen if each.session == session.id}
            # With all, also what is only about to be leased.
            session.barred.update(session.secrets if lease is None else named)
        ended = self._parts.endings.end(chosen, Reason.REVOKED)
        # After the end, which nothing may hold up.
        await self._parts.audit.record("lease.revoked", leases=ended, by=caller.peer.pid)
        await self._parts.endings.settle()
        return {"revoked": ended}

    async def list_all(self, caller: Caller, *, after: str | None = None) -> dict[str, Any]:
        """Return one page of the live leases, without their keys."""
        del caller
        later = self._parts.leases.after(number_of(after))
        return page("leases", later, self._row, lambda lease: str(lease.number))

    def _row(self, lease: Lease) -> dict[str, Any]:
        return {
            "lease": lease.id,
            "secret": lease.secret,
            "version": lease.version,
            "session": lease.session,
            "pid": lease.pid,
            "bounded_by": lease.bounded_by.value,
            "expires_in": round(lease.expires_at - self._parts.now(), 3),
        }
