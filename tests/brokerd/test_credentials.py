from __future__ import annotations

import asyncio

import pytest

from brokerd.header import header_text
from brokerd.model import BoundedBy, Credential
from brokershim.errors import BackendTimeout, BackendUnavailable, Locked
from tests.support.backends import FakeBackend
from tests.support.cache import caching
from tests.support.serving import in_a_loop, settle


@in_a_loop
async def test_a_key_is_fetched_once_and_then_kept() -> None:
    async with caching(FakeBackend()) as cache:
        secret, credential = await cache.credentials.get("a")
        assert (secret.name, credential.value, credential.version) == ("a", b"key-1", "1")
        assert await cache.credentials.get("a") == (secret, credential)
        assert cache.backend.fetches == 1


@in_a_loop
async def test_what_is_kept_is_sealed() -> None:
    async with caching(FakeBackend()) as cache:
        await cache.get()
        (kept,) = cache.credentials._kept.values()
        assert kept._credential.value == b""
        assert b"key-1" not in kept._sealed.ciphertext


@in_a_loop
async def test_of_a_hundred_who_ask_at_once_one_fetches() -> None:
    backend = FakeBackend()
    backend.gate.clear()
    async with caching(backend) as cache:
        callers = cache.asked(100)
        await cache.is_reading()
        backend.gate.set()
        assert await asyncio.gather(*callers) == [b"key-1"] * 100
        assert backend.fetches == 1
        assert cache.credentials._flights == {}


@in_a_loop
async def test_a_caller_that_gives_up_does_not_take_the_others_key_away() -> None:
    backend = FakeBackend()
    backend.gate.clear()
    async with caching(backend) as cache:
        first, second = cache.asked(2)
        await cache.is_reading()
        first.cancel()
        await settle()
        backend.gate.set()
        assert await second == b"key-1"
        assert first.cancelled()
        assert backend.fetches == 1


@pytest.mark.parametrize("failure", [Locked("locked"), BackendUnavailable("away")])
@in_a_loop
async def test_a_failure_is_everybodys_and_is_not_kept(failure: Locked) -> None:
    backend = FakeBackend(failure=failure)
    async with caching(backend) as cache:
        for caller in cache.asked(3):
            with pytest.raises(type(failure)):
                await caller
        backend.failure = None
        assert await cache.get() == b"key-1"


@in_a_loop
async def test_a_backend_that_takes_too_long_is_given_up() -> None:
    backend = FakeBackend()
    backend.gate.clear()
    async with caching(backend, deadline=0.05) as cache:
        with pytest.raises(BackendTimeout, match="the backend of a"):
            await cache.get()


@in_a_loop
async def test_a_changed_key_is_fetched_at_once() -> None:
    async with caching(FakeBackend()) as cache:
        await cache.get()
        cache.backend.rotate()
        assert await cache.get() == b"key-2"
        assert (await cache.credentials.describe("a")).version == "2"


@in_a_loop
async def test_a_dying_key_is_fetched_again_before_it_dies() -> None:
    async with caching(FakeBackend()) as cache:
        ends = cache.now + 100.0
        cache.backend.life = lambda: ends
        await cache.get()
        cache.now = ends - 25.0 - 0.1  # a quarter of its life is its floor
        await cache.get()
        assert cache.backend.fetches == 1
        cache.now = ends - 25.0
        cache.backend.life = lambda: ends + 1000.0
        await cache.get()
        assert cache.backend.fetches == 2


@in_a_loop
async def test_a_short_lived_key_is_not_fetched_again_for_each_request() -> None:
    """A floor above its life would make each request cost an exchange."""
    async with caching(FakeBackend(floor=30.0)) as cache:
        ends = cache.now + 20.0
        cache.backend.life = lambda: ends
        for _ in range(3):
            assert await cache.get() == b"key-1"
        assert cache.backend.fetches == 1


@pytest.mark.parametrize("life", [0.0, -1.0])
@in_a_loop
async def test_a_key_that_is_over_as_it_comes_is_not_given(life: float) -> None:
    async with caching(FakeBackend()) as cache:
        cache.backend.life = lambda: cache.now + life
        with pytest.raises(BackendUnavailable, match="was over as it came"):
            await cache.get()
        assert cache.credentials._kept == {}


@in_a_loop
async def test_nothing_is_kept_after_clear() -> None:
    async with caching(FakeBackend()) as cache:
        await cache.get()
        cache.credentials.clear("another")
        await cache.get()
        assert cache.backend.fetches == 1
        cache.credentials.clear("fake")
        assert cache.credentials._kept == {}
        await cache.get()
        assert cache.backend.fetches == 2


@in_a_loop
async def test_a_description_alone_fetches_no_key() -> None:
    async with caching(FakeBackend()) as cache:
        assert (await cache.credentials.describe("a")).name == "a"
        assert cache.backend.fetches == 0


@pytest.mark.parametrize(
    "value",
    [b"", b" ", b"sk-x\n", b"\nsk-x", b"sk-x\r\nx-evil: 1", b" sk-x", b"sk-x ", b"sk-\x00x",
     "sk-ü".encode(), b"sk-\xff", b"sk-\tx", b"sk-\x7fx", b"two words"],
)  # fmt: skip
def test_a_key_that_no_header_can_hold_is_refused_and_not_repeated(value: bytes) -> None:
    with pytest.raises(BackendUnavailable, match="the key of a has") as refused:
        header_text("a", Credential(value, "1", BoundedBy.BACKEND))
    assert "sk-" not in str(refused.value.to_wire())
    assert refused.value.__cause__ is refused.value.__context__ is None


def test_a_key_that_a_header_can_hold_stays_as_it_is() -> None:
    for value in (b"x", b"sk-proj-A_b.c~1"):
        assert header_text("a", Credential(value, "1", BoundedBy.BACKEND)) == value.decode()
