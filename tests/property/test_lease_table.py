"""The table of leases against a plain list, through any history."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from brokerd.leases import Lease, LeaseTable
from brokerd.model import BoundedBy

_seconds = st.sampled_from([0.0, 0.5, 1.0, 1.0, 5.0, 60.0])
_few = st.integers(1, 3)


@dataclass
class _Row:
    """What the model knows of a lease."""

    lease: Lease
    ends: float


class Table(RuleBasedStateMachine):
    """Adds, extends, removes, and lets time pass."""

    def __init__(self) -> None:
        super().__init__()
        self.table = LeaseTable()
        self.model: list[_Row] = []
        self.gone: list[Lease] = []
        self.now = 1000.0
        self.ids = itertools.count()

    @rule(ttl=_seconds, connection=_few, session=_few, secret=_few)
    def add(self, ttl: float, connection: int, session: int, secret: int) -> None:
        lease = Lease(
            id=f"lease-{next(self.ids)}",
            secret=f"secret/{secret}",
            version="1",
            session=f"session-{session}",
            connection=connection,
            pid=connection,
            bounded_by=BoundedBy.BROKER,
            expires_at=self.now + ttl,
            backend="embedded",
        )
        self.table.add(lease)
        self.model.append(_Row(lease, lease.expires_at))

    @precondition(lambda self: self.model)
    @rule(data=st.data(), ttl=_seconds, times=st.sampled_from([1, 1, 1, 200]))
    def extend(self, data: st.DataObject, ttl: float, times: int) -> None:
        row = data.draw(st.sampled_from(self.model), label="lease")
        row.ends = self.now + ttl
        for _ in range(times):  # 200: the heap is built anew on the way
            self.table.extend(row.lease, row.ends)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from(self.model), label="lease")
        assert self.table.remove(row.lease)
        self._drop(row.lease)

    @precondition(lambda self: self.gone)
    @rule(data=st.data())
    def remove_again(self, data: st.DataObject) -> None:
        assert not self.table.remove(data.draw(st.sampled_from(self.gone), label="lease"))

    @rule(seconds=_seconds)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        due = [row.lease for row in self.model if row.ends <= self.now]
        over = self.table.expired(self.now)
        assert sorted(each.id for each in over) == sorted(each.id for each in due)
        for lease in over:
            assert self.table.remove(lease)
            self._drop(lease)

    def _drop(self, lease: Lease) -> None:
        self.model = [row for row in self.model if row.lease is not lease]
        self.gone.append(lease)

    @invariant()
    def holds_the_same(self) -> None:
        leases = [row.lease for row in self.model]
        assert list(self.table) == leases
        assert len(self.table) == len(leases)
        assert [self.table.get(each.id) for each in leases] == leases
        assert [each.expires_at for each in leases] == [row.ends for row in self.model]
        assert all(self.table.get(each.id) is None for each in self.gone)

    @invariant()
    def finds_by_holder_session_and_secret(self) -> None:
        leases = [row.lease for row in self.model]
        for n in range(1, 4):
            of_connection = [each for each in leases if each.connection == n]
            found = sorted(self.table.of_connection(n), key=lambda each: each.number)
            assert found == of_connection
            assert self.table.holds_any(n) == bool(of_connection)
            of_session = [each for each in leases if each.session == f"session-{n}"]
            assert self.table.of_session(f"session-{n}") == of_session
            of_secret = [each for each in leases if each.secret == f"secret/{n}"]
            assert self.table.of_secret(f"secret/{n}") == of_secret

    @invariant()
    def never_sleeps_past_an_end(self) -> None:
        following = self.table.next_expiry()
        if self.model:
            assert following is not None
            assert following <= min(row.ends for row in self.model)

    @invariant()
    def pages_in_order(self) -> None:
        numbers = [row.lease.number for row in self.model]
        assert numbers == sorted(set(numbers))
        for number in (0, *numbers):
            assert [each.number for each in self.table.after(number)] == [
                each for each in numbers if each > number
            ]

    @invariant()
    def keeps_no_heap_of_old_expiries(self) -> None:
        assert len(self.table._expiries) <= 2 * (len(self.model) + len(self.gone)) + 64


Table.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLeaseTable = Table.TestCase
