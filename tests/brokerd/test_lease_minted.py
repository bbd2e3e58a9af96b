"""A lease of a key that was made for it: it lives on with the key, and never beyond it."""

from __future__ import annotations

import asyncio
import json
from unittest import mock

import pytest

from brokershim.errors import (
    BackendRefused,
    BackendTimeout,
    BackendUnavailable,
    BrokerError,
    LeaseNotFound,
    ServerDown,
)
from tests.support.backends import FakeBackend
from tests.support.daemon import World
from tests.support.inner import inner_daemon
from tests.support.serving import in_a_loop, until


@in_a_loop
async def test_a_key_is_renewed_with_its_lease(world: World) -> None:
    world.grant("*", max_ttl="10m")
    async with inner_daemon(world, FakeBackend(minting=True)) as inner:
        inner.backend.life = lambda: inner.now + 700.0
        client = await inner.holder()
        lease = await client.lease()
        for _ in range(5):
            inner.now += 500.0
            assert (await client.call("lease.renew", lease=lease))["expires_in"] == 600.0
        assert inner.backend.renewals == [("upstream-1", 600.0)] * 5
        assert (inner.backend.fetches, client.told) == (1, [])


@in_a_loop
async def test_the_servers_own_limit_wins(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        dies = inner.now + 1200.0
        inner.backend.life = lambda: dies
        client = await inner.holder()
        reply = await client.call("lease.acquire", secret="a")
        assert reply["expires_in"] == 900.0
        inner.now += 600.0
        assert (await client.call("lease.renew", lease=reply["lease"]))["expires_in"] == 600.0
        inner.now = dies - 20.0
        with pytest.raises(LeaseNotFound):
            await client.call("lease.renew", lease=reply["lease"])
        await until(lambda: inner.backend.live == {})
        assert inner.endings() == {reply["lease"]: "expired"}


@in_a_loop
async def test_a_lease_gets_shorter_where_its_key_does(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        inner.backend.life = lambda: inner.now + 800.0
        client = await inner.holder()
        lease = await client.lease()
        inner.backend.life = lambda: inner.now + 50.0
        assert (await client.call("lease.renew", lease=lease))["expires_in"] == 50.0
        inner.now += 50.0
        assert (await client.hears())["params"]["reason"] == "expired"


@in_a_loop
async def test_a_key_that_is_over_at_the_server_ends_its_lease(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        client = await inner.holder()
        lease = await client.lease()
        inner.backend.live.clear()
        with pytest.raises(LeaseNotFound):
            await client.call("lease.renew", lease=lease)
        assert (await client.hears())["method"] == "secret.rotated"
        assert (await client.call("lease.acquire", secret="a"))["value"] == "key-1-2"


@pytest.mark.parametrize("failure", [ServerDown("a"), BackendTimeout("b"), BackendRefused("c")])
@in_a_loop
async def test_where_a_key_cannot_be_renewed_its_end_stays(
    granted: World, failure: BrokerError
) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        dies = inner.now + 1000.0
        inner.backend.life = lambda: dies
        client = await inner.holder()
        lease = await client.lease()
        inner.now += 600.0
        with mock.patch.object(inner.backend, "renew", side_effect=failure):
            assert (await client.call("lease.renew", lease=lease))["expires_in"] == 400.0
        assert inner.daemon._made.journal.holds(lease)


@in_a_loop
async def test_a_process_that_is_refused_whatever_it_has_does_not_get_one_for_each_call(
    granted: World,
) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        client = await inner.holder()
        for _ in range(4):
            await client.call("lease.report", lease=await client.lease(), status=403)
        with pytest.raises(BackendUnavailable, match="refused 4 keys of a in a row"):
            await client.lease()
        assert inner.backend.fetches == 4
        inner.now += 60.0
        await client.lease()


@in_a_loop
async def test_one_that_is_refused_now_and_then_is(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        client = await inner.holder()
        for _ in range(10):
            await client.call("lease.report", lease=await client.lease(), status=403)
            inner.now += 180.0
        assert inner.backend.fetches == 10


@in_a_loop
async def test_a_lease_that_is_revoked_while_its_key_is_renewed_stays_so(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        inner.backend.life = lambda: inner.now + 700.0
        client, other = await inner.holder(), await inner.client()
        lease = await client.lease()
        inner.backend.gate.clear()
        renewing = asyncio.create_task(client.call("lease.renew", lease=lease))
        await until(lambda: inner.daemon._busy == 1)
        await other.call("lease.revoke", lease=lease)
        inner.backend.gate.set()
        with pytest.raises(LeaseNotFound):
            await renewing
        await until(lambda: inner.backend.live == {})


@in_a_loop
async def test_leases_end_with_the_login_that_their_keys_were_made_under(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        client = await inner.holder()
        lease = await client.lease()
        inner.backend.version += 1
        assert (await client.hears())["method"] == "secret.rotated"
        await until(lambda: inner.backend.live == {})
        await until(lambda: inner.endings() == {lease: "a newer key takes its place"})


@in_a_loop
async def test_a_login_that_ended_ends_no_lease_of_a_key_that_is_as_good_without_it(
    granted: World,
) -> None:
    async with inner_daemon(granted, FakeBackend()) as inner:
        client = await inner.holder()
        shared = await client.lease()
        inner.backend.minting = True
        made = await client.lease()
        inner.backend.lost_logins += 1
        assert (await client.hears())["params"]["lease"] == made
        await until(lambda: inner.endings() == {made: "a newer key takes its place"})
        inner.backend.minting, inner.backend.failure = False, ServerDown("away")
        assert (await client.call("lease.acquire", secret="a"))["value"] == "key-1"
        await client.call("lease.renew", lease=shared)


@in_a_loop
async def test_the_status_counts_what_is_still_to_be_revoked(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        client = await inner.holder()
        lease = await client.lease()
        inner.backend.gate.clear()
        await client.call("lease.release", lease=lease)
        status = await client.call("daemon.status")
        assert (status["leases"], status["revoking"]) == (0, 1)
        assert (status["backends"][0]["keys"], status["backends"][0]["served_for"]) == (0, None)
        inner.backend.gate.set()
        await until(lambda: len(inner.daemon._parts.upstream) == 0)


@in_a_loop
async def test_the_status_says_for_how_long_a_key_lives_without_its_backend(
    granted: World,
) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        dies = inner.now + 300.0
        inner.backend.life = lambda: dies
        client = await inner.holder()
        await client.lease()
        await client.lease()
        inner.now += 100.0
        (row,) = (await client.call("daemon.status"))["backends"]
        assert (row["keys"], row["served_for"]) == (2, 200.0)


@in_a_loop
async def test_what_is_just_being_made_as_the_daemon_stops_is_revoked(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        client = await inner.holder()
        inner.backend.gate.clear()
        client.send(b'{"jsonrpc":"2.0","id":9,"method":"lease.acquire","params":{"secret":"a"}}\n')
        await inner.is_fetching()
        inner.daemon._stopping.set()
        await until(lambda: len(inner.daemon._server) == 0)
        inner.backend.gate.set()
        await inner.running
        assert (inner.backend.revoked, inner.backend.live) == (["upstream-1"], {})
        journal = (granted.state / "journal.jsonl").read_text()
        assert "closed" in json.loads(journal.splitlines()[-1])


@in_a_loop
async def test_what_hangs_as_the_daemon_stops_is_left_to_the_next(
    granted: World, caplog: pytest.LogCaptureFixture
) -> None:
    with mock.patch("brokerd.daemon._SETTLE_SECONDS", 0.05):
        async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
            client = await inner.holder()
            inner.backend.gate.clear()
            request = b'{"jsonrpc":"2.0","id":9,"method":"lease.acquire","params":{"secret":"a"}}'
            client.send(request + b"\n")
            await inner.is_fetching()
            inner.daemon._stopping.set()
            await inner.running
    journal = (granted.state / "journal.jsonl").read_text()
    assert json.loads(journal.splitlines()[-1])["upstream"] == "login-1"
    assert "was destroyed" not in caplog.text
