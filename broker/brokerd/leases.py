"""Which leases are live, and which ends next? (Pure: the time is passed in.)"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from brokerd.model import BoundedBy


@dataclass(slots=True, eq=False)
class Lease:
    """One secret, one session, one expiry, one `bounded_by`.

    Attributes:
        id: Opaque; names the lease on the wire and in the audit.
        secret: The secret's name.
        version: Which version of it the key was.
        session: The session's id.
        connection: The number of the connection that holds it, and that it ends with.
        pid: The process that holds it.
        bounded_by: What ends the key.
        expires_at: Seconds of `brokershim.clock.now`.
        backend: The backend that the key came from.
        key_expires_at: When the key itself dies; None if it does not by itself.
        floor: Seconds of the key's life below which it is not given or renewed any more.
        upstream: What to revoke there when it ends, if anything.
        max_ttl: The longest that its secret is leased for at a time, in seconds.
        served_until: When a static key is too old to be served, as far as its backend was heard
            when the lease was given or renewed; None where it need not be heard.
        number: Its place in the order of the table, for paging.
    """

    id: str
    secret: str
    version: str
    session: str
    connection: int
    pid: int
    bounded_by: BoundedBy
    expires_at: float
    backend: str
    key_expires_at: float | None = None
    floor: float = 30.0
    upstream: str | None = None
    max_ttl: float = 900.0
    served_until: float | None = None
    number: int = 0


class LeaseTable:
    """All live leases."""

    def __init__(self) -> None:
        self._leases: dict[str, Lease] = {}
        self._by_connection: dict[int, set[str]] = defaultdict(set)
        self._expiries: list[tuple[float, str]] = []
        self._numbers = count(1)

    def __len__(self) -> int:
        """Return how many leases are live."""
        return len(self._leases)

    def __iter__(self) -> Iterator[Lease]:
        """Iterate over a copy, oldest first, so that leases can be ended on the way."""
        return iter(list(self._leases.values()))

    def add(self, lease: Lease) -> None:
        """Record a new lease."""
        lease.number = next(self._numbers)
        self._leases[lease.id] = lease
        self._by_connection[lease.connection].add(lease.id)
        self._expect(lease)

    def get(self, lease_id: str) -> Lease | None:
        """Return a live lease."""
        return self._leases.get(lease_id)

    def extend(self, lease: Lease, expires_at: float) -> None:
        """Give a live lease another expiry."""
        lease.expires_at = expires_at
        self._expect(lease)

    def remove(self, lease: Lease) -> bool:
        """Forget a lease; return whether it was live."""
        if self._leases.pop(lease.id, None) is None:
            return False
        held = self._by_connection[lease.connection]
        held.discard(lease.id)
        if not held:
            del self._by_connection[lease.connection]
        return True

    def expired(self, now: float) -> list[Lease]:
        """Return the live leases whose time is over."""
        over: dict[str, Lease] = {}  # one that was renewed stands in the heap more than once
        while self._expiries and self._expiries[0][0] <= now:
            lease = self._leases.get(heapq.heappop(self._expiries)[1])
            if lease is not None and lease.expires_at <= now:
                over[lease.id] = lease
        return list(over.values())

    def next_expiry(self) -> float | None:
        """Return when the next lease may end; None where there is none."""
        return self._expiries[0][0] if self._expiries else None

    def of_connection(self, connection: int) -> list[Lease]:
        """Return what a connection holds."""
        return [self._leases[each] for each in self._by_connection.get(connection, ())]

    def held_by(self, connection: int) -> int:
        """Return how many leases a connection holds."""
        return len(self._by_connection.get(connection, ()))

    def holds_any(self, connection: int) -> bool:
        """Return whether a connection holds a lease."""
        return connection in self._by_connection

    def of_session(self, session: str) -> list[Lease]:
        """Return what a session's processes hold."""
        return [lease for lease in self if lease.session == session]

    def secrets(self) -> set[str]:
        """Return the names of what is leased."""
        return {lease.secret for lease in self._leases.values()}

    def of_secret(self, secret: str) -> list[Lease]:
        """Return the leases of one secret."""
        return [lease for lease in self if lease.secret == secret]

    def after(self, number: int) -> Iterator[Lease]:
        """Iterate in order over the leases with a greater number."""
        return (lease for lease in self._leases.values() if lease.number > number)

    def _expect(self, lease: Lease) -> None:
        """Note when a lease ends, and drop the notes of leases that ended before or were renewed.

        A program that takes day-long leases and gives them up at once must not fill the memory.
        """
        heapq.heappush(self._expiries, (lease.expires_at, lease.id))
        if len(self._expiries) > 2 * len(self._leases) + 64:
            self._expiries = [(each.expires_at, each.id) for each in self._leases.values()]
            heapq.heapify(self._expiries)
