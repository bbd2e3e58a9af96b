"""How is a key that dies by itself replaced while it lives?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from brokershim.errors import AuditUnavailable, BackendUnavailable, ExchangeRefused, ServerDown
from tests.support.backends import FakeBackend
from tests.support.cache import Cache, caching
from tests.support.serving import in_a_loop, until

_LIFE = 600.0
_REFRESH = 300.0
_FLOOR = 30.0
_AWAY = ServerDown("away")


@asynccontextmanager
async def _exchanging() -> AsyncGenerator[Cache]:
    """Keys that live ten minutes, and are to be refreshed after five."""
    async with caching(FakeBackend(exchanging=True, floor=_FLOOR)) as cache:
        cache.backend.life = lambda: cache.now + _LIFE
        cache.backend.refresh = lambda: cache.now + _REFRESH
        yield cache


async def _landed(cache: Cache) -> None:
    await until(lambda: not cache.credentials._flights)


@in_a_loop
async def test_a_key_that_is_due_is_served_while_one_task_refreshes_it() -> None:
    async with _exchanging() as cache:
        assert await cache.get() == b"key-1-1"
        cache.now += _REFRESH - 0.1
        assert await cache.get() == b"key-1-1"
        assert not cache.credentials._flights
        cache.now += 0.1
        cache.backend.gate.clear()
        for _ in range(50):
            assert await cache.get() == b"key-1-1"
        assert len(cache.credentials._flights) == 1
        cache.backend.gate.set()
        await _landed(cache)
        assert await cache.get() == b"key-1-2"
        assert cache.backend.fetches == 2


@in_a_loop
async def test_it_is_refreshed_though_nobody_asks_for_it() -> None:
    async with _exchanging() as cache:
        await cache.get()
        cache.credentials.refresh_due(["a"])
        assert not cache.credentials._flights
        cache.now += _REFRESH
        cache.credentials.refresh_due(["a"])
        cache.credentials.refresh_due(["a"])
        await _landed(cache)
        assert cache.backend.fetches == 2


@in_a_loop
async def test_a_refresh_that_fails_leaves_the_old_key_until_its_floor() -> None:
    async with _exchanging() as cache:
        born = cache.now
        await cache.get()
        cache.backend.failure = _AWAY
        while cache.now < born + _LIFE - _FLOOR:
            assert await cache.get() == b"key-1-1"
            await _landed(cache)
            cache.now += 1.0
        with pytest.raises(ServerDown):
            await cache.get()


@in_a_loop
async def test_a_refresh_that_fails_is_tried_again_after_longer_and_longer() -> None:
    async with _exchanging() as cache:
        await cache.get()
        cache.backend.failure = ExchangeRefused("no such rule")
        cache.now += _REFRESH
        tries: list[float] = []
        for _ in range(200):
            before = cache.backend.refusals
            cache.credentials.refresh_due(["a"])
            await _landed(cache)
            if cache.backend.refusals > before:
                tries.append(cache.now)
            cache.now += 1.0
        pauses = [later - earlier for earlier, later in pairwise(tries)]
        assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


@in_a_loop
async def test_a_caller_joins_the_refresh_once_the_old_key_is_of_no_use() -> None:
    async with _exchanging() as cache:
        await cache.get()
        cache.now += _REFRESH
        cache.backend.gate.clear()
        await cache.get()
        cache.now += _LIFE - _REFRESH - _FLOOR
        callers = cache.asked(20)
        await cache.is_reading()
        cache.backend.gate.set()
        assert await asyncio.gather(*callers) == [b"key-1-2"] * 20
        assert cache.backend.fetches == 2


@in_a_loop
async def test_a_late_refusal_of_the_old_key_does_not_harm_the_new_one() -> None:
    async with _exchanging() as cache:
        await cache.get()
        cache.now += _REFRESH
        await cache.get()
        await _landed(cache)
        cache.credentials.forget("a", "upstream-1")
        assert await cache.get() == b"key-1-2"
        assert cache.backend.fetches == 2


@in_a_loop
async def test_a_refusal_during_a_refresh_ends_the_old_key_and_not_what_is_on_its_way() -> None:
    async with _exchanging() as cache:
        await cache.get()
        cache.now += _REFRESH
        cache.backend.gate.clear()
        await cache.get()
        cache.credentials.forget("a", "upstream-1")
        callers = cache.asked(3)
        await cache.is_reading()
        cache.backend.gate.set()
        assert await asyncio.gather(*callers) == [b"key-1-2"] * 3
        assert cache.backend.fetches == 2


@pytest.mark.parametrize("change", ["revision", "clear"])
@in_a_loop
async def test_an_invalidation_during_a_refresh_is_not_lost(change: str) -> None:
    async with _exchanging() as cache:
        await cache.get()
        cache.now += _REFRESH
        cache.backend.gate.clear()
        await cache.get()
        await cache.is_reading()
        await cache.is_reading()
        if change == "revision":
            cache.backend.version += 1
        else:
            cache.credentials.clear("fake")
        caller = cache.asked()[0]
        cache.backend.gate.set()
        assert await caller == b"key-1-3"  # key 2 was on its way before
        assert cache.backend.fetches == 3


@in_a_loop
async def test_a_key_of_another_revision_is_not_refreshed() -> None:
    """Nobody asked for it since: an exchange for whoever has logged in is not begun unasked."""
    async with _exchanging() as cache:
        await cache.get()
        cache.now += _REFRESH
        cache.backend.version += 1
        cache.credentials.refresh_due(["a"])
        assert not cache.credentials._flights


@in_a_loop
async def test_a_dead_key_does_not_lie_around() -> None:
    async with _exchanging() as cache:
        await cache.get()
        cache.now += _LIFE
        cache.credentials.refresh_due([])
        assert cache.credentials._kept == {}


@in_a_loop
async def test_secrets_that_one_key_serves_cost_one_fetch() -> None:
    async with _exchanging() as cache:
        cache.backend.keys["b"] = b"never"
        cache.backend.shared = {"a": "one", "b": "one"}
        cache.backend.gate.clear()
        callers = [*cache.asked(10), *cache.asked(10, "b")]
        await cache.is_reading()
        cache.backend.gate.set()
        assert await asyncio.gather(*callers) == [b"key-1-1"] * 20
        assert cache.backend.fetches == 1
        for name in ("a", "b"):
            secret, _ = await cache.credentials.get(name)
            assert (secret.name, secret.version) == (name, "upstream-1")
            assert await cache.credentials.describe(name) == secret
        cache.credentials.forget("b", "upstream-1")
        assert await cache.get() == b"key-1-2"


@in_a_loop
async def test_a_key_that_is_refused_again_and_again_does_not_cost_an_exchange_each_time() -> None:
    async with _exchanging() as cache:
        refused = 0
        for _ in range(100):
            try:
                _, credential = await cache.credentials.get("a")
            except BackendUnavailable:
                refused += 1
            else:
                cache.credentials.forget("a", credential.version)
            cache.now += 0.01
        assert (cache.backend.fetches, refused) == (4, 96)
        cache.now += 5.0
        assert await cache.get() == b"key-1-5"
        cache.now += 60.0  # it worked for a while
        cache.credentials.forget("a", "upstream-5")
        assert await cache.get() == b"key-1-6"


@in_a_loop
async def test_each_key_is_in_the_audit_before_anybody_has_it() -> None:
    async with _exchanging() as cache:
        await cache.get()
        assert cache.audit.events == [
            {"event": "key.fetched", "secret": "a", "backend": "fake", "version": "upstream-1",
             "seconds": 600, "bounded_by": "provider"},
        ]  # fmt: skip
        cache.credentials.clear("fake")
        cache.audit.failure = AuditUnavailable("the disk is full")
        with pytest.raises(AuditUnavailable):
            await cache.get()
        assert cache.credentials._kept == {}


@in_a_loop
async def test_a_key_that_was_not_given_is_in_the_audit_with_its_reason() -> None:
    async with _exchanging() as cache:
        cache.backend.failure = ExchangeRefused("no such rule")
        with pytest.raises(ExchangeRefused):
            await cache.get()
        (event,) = cache.audit.events
        assert (event["event"], event["kind"], event["secret"], event["backend"]) == (
            "key.failed", "denied.exchange_refused", "a", "fake",
        )  # fmt: skip


@in_a_loop
async def test_a_backend_that_is_away_is_soon_not_asked_any_more() -> None:
    async with _exchanging() as cache:
        cache.backend.failure = _AWAY
        for _ in range(20):
            with pytest.raises(ServerDown, match="away"):
                await cache.get()
        assert cache.backend.refusals == 3
        assert cache.breaker.health(cache.now).state == "open"
        cache.now += 5.0
        cache.backend.failure = None
        assert await cache.get() == b"key-1-1"
        assert cache.breaker.health(cache.now).state == "closed"
