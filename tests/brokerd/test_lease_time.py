"""When does a lease end? With time that a test sets."""

from __future__ import annotations

import asyncio
import time
from unittest import mock

import pytest

from brokerd.audit.line import AuditHead, Field
from brokershim.errors import BackendUnavailable, LeaseNotFound, ServerDown
from tests.support.backends import FakeBackend
from tests.support.daemon import World
from tests.support.inner import InnerClient, inner_daemon
from tests.support.serving import in_a_loop, until


@in_a_loop
async def test_a_lease_ends_at_its_time(granted: World) -> None:
    async with inner_daemon(granted) as inner:
        client = await inner.holder()
        reply = await client.call("lease.acquire", secret="a")
        assert reply["expires_in"] == 900.0
        assert reply["floor"] == 30.0
        inner.now += 899.9
        await asyncio.sleep(0.03)
        assert await client.call("lease.renew", lease=reply["lease"])
        inner.now += 899.9
        await asyncio.sleep(0.03)
        assert client.told == []
        inner.now += 0.2
        heard = await client.hears()
        assert heard["method"] == "lease.revoked"
        assert heard["params"] == {"lease": reply["lease"], "secret": "a", "reason": "expired"}
        await until(lambda: inner.endings() == {reply["lease"]: "expired"})


@in_a_loop
async def test_a_lease_past_its_time_is_not_renewed_though_the_timer_is_late(
    granted: World,
) -> None:
    """So it is when the machine wakes: the clock has gone on, the timer has not."""
    async with inner_daemon(granted) as inner:
        client = await inner.holder()
        lease = await client.lease()
        inner.daemon._parts.leases._expiries.clear()  # the timer knows of nothing
        inner.now += 900.0
        with pytest.raises(LeaseNotFound):
            await client.call("lease.renew", lease=lease)


@in_a_loop
async def test_a_short_lease_has_a_low_floor(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(max_ttl=8.0)) as inner:
        client = await inner.holder()
        reply = await client.call("lease.acquire", secret="a")
        assert (reply["expires_in"], reply["floor"]) == (8.0, 2.0)


@pytest.mark.parametrize(("granted_for", "expected"), [("1m", 60.0), ("24h", 900.0)])
@in_a_loop
async def test_the_shorter_of_the_grant_and_the_secret_counts(
    world: World, granted_for: str, expected: float
) -> None:
    world.grant("*", max_ttl=granted_for)
    async with inner_daemon(world) as inner:
        client = await inner.holder()
        reply = await client.call("lease.acquire", secret="a")
        assert reply["expires_in"] == expected
        inner.now += 10
        assert (await client.call("lease.renew", lease=reply["lease"]))["expires_in"] == expected


@in_a_loop
async def test_a_lease_never_outlives_its_key(granted: World) -> None:
    async with inner_daemon(granted) as inner:
        dies = inner.now + 100.0
        inner.backend.life = lambda: dies
        client = await inner.holder()
        reply = await client.call("lease.acquire", secret="a")
        assert reply["expires_in"] == 100.0
        inner.now += 40
        renewed = await client.call("lease.renew", lease=reply["lease"])
        assert renewed["expires_in"] == 60.0
        inner.now += 40
        with pytest.raises(LeaseNotFound, match="has ended"):  # acquire another
            await client.call("lease.renew", lease=reply["lease"])


@in_a_loop
async def test_a_key_that_nearly_dies_while_its_lease_is_audited_is_not_given(
    granted: World,
) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        dies = inner.now + 100.0
        inner.backend.life = lambda: dies
        client = await inner.holder()
        record = inner.daemon._parts.audit.record

        async def slow(event: str, **facts: Field) -> AuditHead:
            if event == "lease.acquired":
                inner.now = dies - 24.9  # a quarter of its life is its floor
            return await record(event, **facts)

        with mock.patch.object(inner.daemon._parts.audit, "record", slow):
            with pytest.raises(BackendUnavailable, match="about to expire"):
                await client.lease()
            await until(lambda: inner.backend.revoked == ["upstream-1"])
        assert len(inner.daemon._parts.leases) == 0


@in_a_loop
async def test_a_lease_goes_on_with_a_key_whose_end_is_near_only_as_a_new_one(
    granted: World,
) -> None:
    """The key is refreshed while it lives; who renews is sent to fetch the newer one."""
    async with inner_daemon(granted, FakeBackend(exchanging=True)) as inner:
        first = inner.now
        inner.backend.life = lambda: inner.now + 600.0
        inner.backend.refresh = lambda: inner.now + 300.0
        client = await inner.holder()
        reply = await client.call("lease.acquire", secret="a")
        assert (reply["expires_in"], reply["floor"]) == (600.0, 30.0)
        inner.now = first + 301.0
        await until(lambda: inner.backend.fetches == 2)  # though nobody asked
        with pytest.raises(LeaseNotFound):
            await client.call("lease.renew", lease=reply["lease"])
        assert inner.endings()[reply["lease"]] == "a newer key takes its place"
        assert (await client.hears())["method"] == "secret.rotated"
        assert (await client.call("lease.acquire", secret="a"))["version"] == "upstream-2"
        assert inner.backend.fetches == 2


@in_a_loop
async def test_a_lease_is_renewed_while_its_key_lives_though_the_backend_is_away(
    granted: World,
) -> None:
    async with inner_daemon(granted, FakeBackend(exchanging=True, max_ttl=200.0)) as inner:
        first = inner.now
        inner.backend.life = lambda: first + 600.0
        inner.backend.refresh = lambda: first + 300.0
        client = await inner.holder()
        lease = await client.lease()
        inner.backend.failure = ServerDown("away")
        for later in (150.0, 300.0, 450.0):
            inner.now = first + later
            renewed = await client.call("lease.renew", lease=lease)
            assert renewed["expires_in"] == min(200.0, 600.0 - later)
            assert await client.lease()
        inner.now = first + 600.0 - 29.0
        with pytest.raises(LeaseNotFound):
            await client.call("lease.renew", lease=lease)
        with pytest.raises(ServerDown):
            await client.lease()


@in_a_loop
async def test_leases_end_once_their_backend_would_give_another_key(granted: World) -> None:
    """So they do when somebody logs out of the identity that the key was exchanged for."""
    async with inner_daemon(granted, FakeBackend(exchanging=True)) as inner:
        client = await inner.holder()
        lease = await client.lease()
        inner.backend.version += 1
        heard = await client.hears()
        assert heard["params"]["lease"] == lease
        await until(lambda: inner.endings() == {lease: "a newer key takes its place"})
        assert await client.lease() != lease
        assert inner.backend.fetches == 2


@in_a_loop
async def test_what_was_made_for_a_lease_is_revoked_when_it_ends(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        client = await inner.holder()
        released = await client.lease()
        expiring = await client.lease()
        pending = inner.daemon._made.journal.pending()
        assert [each.lease for each in pending] == [released, expiring]
        await client.call("lease.release", lease=released)
        await until(lambda: inner.backend.revoked == ["upstream-1"])
        inner.now += 900
        await until(lambda: inner.backend.revoked == ["upstream-1", "upstream-2"])
        await until(lambda: inner.daemon._made.journal.pending() == [])
        await until(lambda: set(inner.endings()) == {released, expiring})


@in_a_loop
async def test_what_leases_share_is_neither_written_down_nor_revoked(granted: World) -> None:
    async with inner_daemon(granted) as inner:
        client = await inner.holder()
        lease = await client.lease()
        assert inner.daemon._made.journal.pending() == []
        await client.call("lease.release", lease=lease)
        await until(lambda: set(inner.endings()) == {lease})
        assert (inner.backend.prepared, inner.backend.revoked) == (0, [])


@in_a_loop
async def test_many_leases_that_end_together_hold_nobody_up(granted: World) -> None:
    async with inner_daemon(granted) as inner:
        holder, other = await inner.holder(), await inner.client()
        for _ in range(300):
            await holder.lease()
        reader = asyncio.create_task(_hear(holder, 300))
        inner.now += 900
        began = time.process_time()
        await other.call("daemon.status")
        assert time.process_time() - began < 0.5
        await reader
        assert len(inner.daemon._parts.leases) == 0


async def _hear(client: InnerClient, times: int) -> None:
    for _ in range(times):
        await client.hears()
