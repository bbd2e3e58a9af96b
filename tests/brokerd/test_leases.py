from __future__ import annotations

import time

import pytest

from brokerd.leases import Lease, LeaseTable
from brokerd.model import BoundedBy, Credential


def _lease(name: str, expires_at: float = 10.0, connection: int = 1) -> Lease:
    return Lease(
        id=name,
        secret="openai/dev",
        version="1",
        session="s",
        connection=connection,
        pid=7,
        bounded_by=BoundedBy.BROKER,
        expires_at=expires_at,
        backend="embedded",
    )


def test_a_lease_ends_at_its_time_and_not_before() -> None:
    table, lease = LeaseTable(), _lease("a", 10.0)
    table.add(lease)
    assert table.expired(9.999) == []
    assert table.expired(10.0) == [lease]


def test_an_extended_lease_outlives_its_first_end() -> None:
    table, lease = LeaseTable(), _lease("a", 10.0)
    table.add(lease)
    table.extend(lease, 20.0)
    assert table.expired(15.0) == []
    assert table.expired(20.0) == [lease]


def test_an_extension_may_also_be_shorter() -> None:
    table, lease = LeaseTable(), _lease("a", 100.0)
    table.add(lease)
    table.extend(lease, 20.0)
    assert table.next_expiry() == 20.0
    assert table.expired(20.0) == [lease]


def test_leases_can_be_ended_while_they_are_iterated_over() -> None:
    table = LeaseTable()
    for name in "abc":
        table.add(_lease(name))
    assert [table.remove(lease) for lease in table] == [True, True, True]
    assert len(table) == 0


def test_a_connection_without_leases_is_forgotten() -> None:
    table, lease = LeaseTable(), _lease("a", connection=5)
    table.add(lease)
    table.remove(lease)
    assert table.of_connection(5) == []
    assert not table.holds_any(5)
    assert not table._by_connection


def test_a_thousand_renewals_of_one_lease_leave_no_trail() -> None:
    table, lease = LeaseTable(), _lease("a")
    table.add(lease)
    for n in range(1000):
        table.extend(lease, 10.0 + n)
    assert len(table._expiries) < 100


def test_a_long_lease_given_up_at_once_leaves_no_trail() -> None:
    table = LeaseTable()
    for n in range(1000):
        lease = _lease(f"lease-{n}", 86_400.0)
        table.add(lease)
        table.remove(lease)
    assert len(table._expiries) < 100


def test_ten_thousand_leases_that_end_together_hold_nobody_up() -> None:
    table = LeaseTable()
    for n in range(10_000):
        table.add(_lease(f"lease-{n}"))
    began = time.process_time()
    assert len(table.expired(10.0)) == 10_000
    assert time.process_time() - began < 0.5


def test_two_leases_with_equal_fields_are_two() -> None:
    assert _lease("a") != _lease("a")


def test_a_credential_shows_no_key() -> None:
    credential = Credential(b"sk-secret", "1", BoundedBy.BROKER)
    assert "secret" not in repr(credential)
    with pytest.raises(AttributeError):
        credential.value = b"x"  # type: ignore[misc]
