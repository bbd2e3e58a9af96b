"""What if a key is replaced, locked away or refused just while it is fetched?"""

from __future__ import annotations

import asyncio

import pytest

from brokerd.model import Credential
from brokershim.errors import BackendUnavailable, Locked, SecretNotFound
from tests.support.backends import FakeBackend
from tests.support.cache import caching
from tests.support.serving import in_a_loop, settle


@in_a_loop
async def test_a_change_during_a_fetch_is_not_lost() -> None:
    backend = FakeBackend()
    backend.gate.clear()
    async with caching(backend) as cache:
        first = cache.asked()[0]
        await cache.is_reading()  # it has the old key in its hands
        backend.rotate()
        joined = cache.asked(3)
        await settle()
        backend.gate.set()
        assert await asyncio.gather(first, *joined) == [b"key-2"] * 4
        assert await cache.get() == b"key-2"
        assert backend.fetches == 2


@in_a_loop
async def test_a_removal_during_a_fetch_is_not_lost() -> None:
    backend = FakeBackend()
    backend.gate.clear()
    async with caching(backend) as cache:
        caller = cache.asked()[0]
        await cache.is_reading()
        backend.rotate(key=None)
        backend.gate.set()
        with pytest.raises(SecretNotFound):
            await caller


@in_a_loop
async def test_a_key_is_not_handed_out_after_the_store_was_locked() -> None:
    backend = FakeBackend()
    backend.gate.clear()
    async with caching(backend) as cache:
        caller = cache.asked()[0]
        await cache.is_reading()
        backend.version += 1  # as the embedded store's revision does
        backend.failure = Locked("the store is locked")
        cache.credentials.clear("fake")
        backend.gate.set()
        with pytest.raises(Locked):
            await caller


@in_a_loop
async def test_a_key_that_changes_all_the_time_is_given_up() -> None:
    backend = FakeBackend()
    async with caching(backend) as cache:
        real = backend.fetch

        def fetch(name: str) -> Credential:
            backend.version += 1
            return real(name)

        backend.fetch = fetch  # type: ignore[method-assign]
        with pytest.raises(BackendUnavailable, match="changed whenever"):
            await cache.get()
        assert backend.fetches == 3


@in_a_loop
async def test_a_refused_key_is_fetched_again() -> None:
    async with caching(FakeBackend()) as cache:
        await cache.get()
        cache.credentials.forget("a", "1")
        await cache.get()
        assert cache.backend.fetches == 2


@in_a_loop
async def test_a_late_report_of_an_old_key_harms_no_new_one() -> None:
    async with caching(FakeBackend()) as cache:
        await cache.get()
        cache.backend.rotate()
        await cache.get()
        for version in ("1", "0", "3", ""):
            cache.credentials.forget("a", version)
        cache.credentials.forget("b", "2")
        await cache.get()
        assert cache.backend.fetches == 2


@in_a_loop
async def test_a_report_during_a_fetch_is_not_lost() -> None:
    """The key that is on its way may be the one that was just refused."""
    backend = FakeBackend()
    backend.gate.clear()
    async with caching(backend) as cache:
        caller = cache.asked()[0]
        await cache.is_reading()
        cache.credentials.forget("a", "1")
        backend.keys["a"] = b"key-2"  # a backend that cannot tell: its revision stays
        backend.gate.set()
        assert await caller == b"key-2"
        assert await cache.get() == b"key-2"
        assert backend.fetches == 2


@in_a_loop
async def test_a_report_of_another_version_during_a_fetch_costs_no_second_one() -> None:
    backend = FakeBackend()
    backend.gate.clear()
    async with caching(backend) as cache:
        caller = cache.asked()[0]
        await cache.is_reading()
        cache.credentials.forget("a", "0")
        backend.gate.set()
        assert await caller == b"key-1"
        assert await cache.get() == b"key-1"
        assert backend.fetches == 1


@in_a_loop
async def test_a_report_is_about_the_fetch_that_runs_and_no_later_one() -> None:
    backend = FakeBackend(failure=BackendUnavailable("away"))
    async with caching(backend) as cache:
        caller = cache.asked()[0]
        await asyncio.sleep(0)
        cache.credentials.forget("a", "1")
        with pytest.raises(BackendUnavailable):
            await caller
        backend.failure = None
        await cache.get()
        await cache.get()
        assert backend.fetches == 1
