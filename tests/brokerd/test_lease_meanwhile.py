"""What if something changes just while a lease is being given?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from brokerd.ending import Reason
from brokershim.errors import BrokerError, LeaseNotFound, NotGranted, PeerGone
from tests.support.backends import FakeBackend
from tests.support.daemon import World
from tests.support.inner import Inner, InnerClient, inner_daemon
from tests.support.serving import in_a_loop, until


@in_a_loop
async def test_a_revocation_by_hand_bars_the_session(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend({"a": b"1", "b": b"2"})) as inner:
        client = await inner.holder("a", "b")
        first, second = await client.lease("a"), await client.lease("b")
        assert await client.call("lease.revoke", lease=first) == {"revoked": 1}
        with pytest.raises(NotGranted, match="revoked by hand"):
            await client.lease("a")
        assert (await client.call("lease.renew", lease=second))["lease"] == second
        assert inner.endings() == {first: "revoked by hand"}
        again = await inner.holder("a")
        assert await again.lease("a")


@in_a_loop
async def test_revoking_all_ends_what_is_on_its_way_too(granted: World) -> None:
    async with inner_daemon(granted) as inner:
        inner.backend.gate.clear()
        client, other = await inner.holder(), await inner.client()
        waiting = asyncio.create_task(client.lease())
        await inner.is_fetching()
        assert await other.call("lease.revoke", all=True) == {"revoked": 0}
        inner.backend.gate.set()
        with pytest.raises(NotGranted, match="revoked by hand"):
            await waiting
        assert len(inner.daemon._parts.leases) == 0


@in_a_loop
async def test_a_rotation_during_the_fetch_gives_the_new_key(granted: World) -> None:
    async with inner_daemon(granted) as inner:
        inner.backend.gate.clear()
        client = await inner.holder()
        waiting = asyncio.create_task(client.call("lease.acquire", secret="a"))
        await inner.is_fetching()
        inner.backend.rotate()
        inner.backend.gate.set()
        assert (await waiting)["value"] == "key-2"


@in_a_loop
async def test_a_holder_that_hangs_up_during_the_fetch_gets_no_lease(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        inner.backend.gate.clear()
        client, other = await inner.client(), await inner.holder()
        client.send(b'{"jsonrpc":"2.0","id":5,"method":"lease.acquire","params":{"secret":"a"}}\n')
        await inner.is_fetching()
        await client.close()
        await until(lambda: len(inner.daemon._server) == 1)
        inner.backend.gate.set()
        await until(lambda: inner.backend.revoked == ["upstream-1"])
        await until(lambda: list(inner.endings().values()) == ["never delivered"])
        assert (await other.call("lease.list"))["leases"] == []


async def _while_it_is_audited(
    inner: Inner, client: InnerClient, change: Callable[[], Any]
) -> BrokerError:
    """Change something when a lease waits to be on record, and return why it was not given."""
    real = inner.daemon._parts.audit.record

    async def record(event: str, **fields: Any) -> Any:
        if event == "lease.acquired":
            await change()
        return await real(event, **fields)

    with (
        mock.patch.object(inner.daemon._parts.audit, "record", record),
        pytest.raises(BrokerError) as refused,
    ):
        await client.lease()
    return refused.value


@in_a_loop
async def test_a_lease_revoked_while_it_is_audited_is_not_given(granted: World) -> None:
    async with inner_daemon(granted) as inner:
        client, other = await inner.holder(), await inner.client()
        error = await _while_it_is_audited(
            inner, client, lambda: other.call("lease.revoke", all=True)
        )
        assert isinstance(error, LeaseNotFound)
        assert list(inner.endings().values()) == ["revoked by hand"]


@in_a_loop
async def test_a_key_rotated_while_its_lease_is_audited_is_not_given(granted: World) -> None:
    async with inner_daemon(granted) as inner:
        client = await inner.holder()

        async def rotate() -> None:
            inner.daemon._parts.endings.end(
                inner.daemon._parts.leases.of_secret("a"), Reason.ROTATED
            )

        error = await _while_it_is_audited(inner, client, rotate)
        assert isinstance(error, LeaseNotFound)


@in_a_loop
async def test_who_leaves_the_session_during_the_fetch_gets_nothing(granted: World) -> None:
    """Here the session ends; an orphan, whose parent ended meanwhile, has left it as well."""
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        inner.backend.gate.clear()
        client, other = await inner.holder(), await inner.client()
        waiting = asyncio.create_task(client.lease())
        await inner.is_fetching()
        await other.call("session.open", program="/bin/false", env={"V": "a"})
        inner.backend.gate.set()
        with pytest.raises(PeerGone, match="left session"):
            await waiting
        await until(lambda: inner.backend.revoked == ["upstream-1"])


@in_a_loop
async def test_a_lock_is_about_what_the_embedded_store_holds_alone(granted: World) -> None:
    async with inner_daemon(granted) as inner:
        client = await inner.holder()
        lease = await client.lease()
        await client.call("store.lock")
        await client.lease()
        assert inner.backend.fetches == 1
        assert (await client.call("lease.renew", lease=lease))["lease"] == lease
