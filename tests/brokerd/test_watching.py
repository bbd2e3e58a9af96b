"""A newer key reaches who holds the older, and none is served that nobody has heard of for long."""

from __future__ import annotations

import asyncio
import logging
import threading
from unittest import mock

import pytest

from brokershim.errors import (
    BackendRefused,
    BrokerError,
    IdentityExpired,
    LeaseNotFound,
    SecretDeleted,
    ServerDown,
)
from tests.support.backends import FakeBackend
from tests.support.daemon import World
from tests.support.inner import Inner, inner_daemon
from tests.support.serving import in_a_loop, until

_WATCH, _STALE = 30.0, 100.0


def _watched() -> FakeBackend:
    return FakeBackend({"a": b"key-1", "b": b"1"}, tells=False, max_staleness=_STALE)


async def _looked(inner: Inner, looks: int = 1) -> None:
    """Let it be time to look, and wait until that is over."""
    before = inner.backend.looks
    inner.now += _WATCH
    await until(lambda: inner.backend.looks == before + looks)
    await until(lambda: not inner.daemon._made.watching._under_way)


@in_a_loop
async def test_a_rotation_reaches_every_holder_within_the_time_that_is_stated(
    granted: World,
) -> None:
    async with inner_daemon(granted, _watched()) as inner:
        holders = [await inner.holder(), await inner.holder()]
        leases = [await each.lease() for each in holders]
        inner.backend.rotate()
        inner.now += _WATCH - 0.1
        await asyncio.sleep(0.03)
        assert inner.backend.looks == 0
        inner.now += 0.1
        for holder, lease in zip(holders, leases, strict=True):
            heard = await holder.hears()
            assert (heard["method"], heard["params"]["lease"]) == ("secret.rotated", lease)
        assert set(inner.endings().values()) == {"secret rotated"}
        assert (await holders[0].call("lease.acquire", secret="a"))["value"] == "key-2"


@in_a_loop
async def test_a_key_that_is_confirmed_is_served_on_and_not_fetched_again(granted: World) -> None:
    async with inner_daemon(granted, _watched()) as inner:
        client = await inner.holder()
        lease = await client.lease()
        for _ in range(10):
            await _looked(inner)
            renewed = await client.call("lease.renew", lease=lease)
            assert renewed["expires_in"] == _STALE
        assert (inner.backend.fetches, client.told) == (1, [])


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (SecretDeleted("deleted"), "secret removed"),
        (BackendRefused("no"), "no longer given by its backend"),
        (IdentityExpired("the token is over"), "no longer given by its backend"),
    ],
)
@in_a_loop
async def test_what_is_not_given_any_more_ends_at_once(
    granted: World, failure: BrokerError, reason: str
) -> None:
    async with inner_daemon(granted, _watched()) as inner:
        client = await inner.holder()
        lease = await client.lease()
        inner.backend.failure = failure
        inner.now += _WATCH
        heard = await client.hears()
        assert heard["method"] == "lease.revoked"
        assert heard["params"] == {"lease": lease, "secret": "a", "reason": reason}
        with pytest.raises(type(failure)):
            await client.lease()


@in_a_loop
async def test_while_its_backend_is_away_a_key_is_served_until_it_is_too_old(
    granted: World,
) -> None:
    async with inner_daemon(granted, _watched()) as inner:
        client = await inner.holder()
        reply = await client.call("lease.acquire", secret="a")
        assert reply["expires_in"] == _STALE  # though the secret's own limit is longer
        await _looked(inner)
        inner.backend.failure = ServerDown("away")
        inner.now += _WATCH
        await until(lambda: inner.backend.looks == 2)
        renewed = await client.call("lease.renew", lease=reply["lease"])
        assert renewed["expires_in"] == _STALE - _WATCH
        assert (await client.call("lease.acquire", secret="a"))["expires_in"] == _STALE - _WATCH
        (row,) = (await client.call("daemon.status"))["backends"]
        assert (row["keys"], row["served_for"]) == (1, _STALE - _WATCH)
        inner.now += _STALE - _WATCH
        assert (await client.hears())["params"]["reason"] == "expired"
        with pytest.raises(LeaseNotFound):
            await client.call("lease.renew", lease=reply["lease"])
        with pytest.raises(ServerDown):
            await client.lease()


@in_a_loop
async def test_a_key_that_was_reported_gets_no_older_by_being_forgotten(granted: World) -> None:
    """Nothing is kept any more that would say how old it is; its leases remember."""
    async with inner_daemon(granted, _watched()) as inner:
        client, other = await inner.holder(), await inner.holder()
        lease, reported = await client.lease(), await other.lease()
        await other.call("lease.report", lease=reported, status=401)
        inner.now += 60.0
        renewed = await client.call("lease.renew", lease=lease)
        assert renewed["expires_in"] == _STALE - 60.0


@in_a_loop
async def test_who_holds_an_older_key_than_the_one_that_is_kept_is_told_too(
    granted: World,
) -> None:
    async with inner_daemon(granted, _watched()) as inner:
        client, other = await inner.holder(), await inner.holder()
        old, reported = await client.lease(), await other.lease()
        inner.backend.rotate()
        await other.call("lease.report", lease=reported, status=401)
        newer = await other.call("lease.acquire", secret="a")
        assert newer["value"] == "key-2"
        await _looked(inner)
        heard = await client.hears()
        assert (heard["method"], heard["params"]["lease"]) == ("secret.rotated", old)
        assert await other.call("lease.renew", lease=newer["lease"])


@in_a_loop
async def test_what_nobody_uses_is_not_asked_about_and_not_kept(granted: World) -> None:
    async with inner_daemon(granted, _watched()) as inner:
        client = await inner.holder()
        await client.call("lease.release", lease=await client.lease())
        await _looked(inner)  # it was used since it came
        inner.now += _WATCH
        await until(lambda: inner.daemon._parts.credentials.kept("fake") == [])
        assert inner.backend.looks == 1


@in_a_loop
async def test_a_backend_that_hangs_takes_one_thread(granted: World) -> None:
    async with inner_daemon(granted, _watched()) as inner:
        client = await inner.holder("a", "b")
        for name in "ab":
            await client.lease(name)
        inner.backend.gate.clear()
        inner.now += _WATCH
        await until(lambda: inner.backend.looks == 1)
        await asyncio.sleep(0.03)
        assert inner.backend.looks == 1
        inner.backend.gate.set()
        await until(lambda: inner.backend.looks == 2)


@in_a_loop
async def test_a_key_that_was_replaced_while_it_was_asked_about_ends_nothing(
    granted: World,
) -> None:
    async with inner_daemon(granted, _watched()) as inner:
        client = await inner.holder()
        reported, answer = await client.lease(), threading.Event()

        def newest(_: str) -> str:
            assert answer.wait(5)
            return "2"

        with mock.patch.object(inner.backend, "newest", side_effect=newest) as asked:
            inner.now += _WATCH
            await until(lambda: asked.called)
            await client.call("lease.report", lease=reported, status=401)
            lease = await client.lease()
            answer.set()
            await until(lambda: not inner.daemon._made.watching._under_way)
        assert await client.call("lease.renew", lease=lease)


@in_a_loop
async def test_a_fault_of_ours_is_named_and_the_next_look_comes(
    granted: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with inner_daemon(granted, _watched()) as inner:
        client = await inner.holder()
        await client.lease()
        broken = mock.patch.object(inner.backend, "newest", side_effect=KeyError("SECRET"))
        with caplog.at_level(logging.ERROR), broken as newest:
            inner.now += _WATCH
            await until(lambda: newest.called)
            await until(lambda: not inner.daemon._made.watching._under_way)
        assert "backend fake cannot be watched: KeyError" in caplog.text
        assert "SECRET" not in caplog.text
        await _looked(inner)
