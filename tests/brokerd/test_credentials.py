from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from brokerd.blocking import Blocking
from brokerd.credentials import FLOOR_SECONDS, Credentials, header_text
from brokerd.model import BoundedBy, Credential
from brokerd.sealed import Sealer
from brokershim.errors import BackendTimeout, BackendUnavailable, Locked, SecretNotFound
from tests.support.backends import FakeBackend
from tests.support.serving import in_a_loop, settle


@dataclass
class _Cache:
    """Credentials, the backend behind them, and the time."""

    backend: FakeBackend
    credentials: Credentials
    now: float = 1000.0

    async def get(self) -> bytes:
        _, credential = await self.credentials.get("a")
        return credential.value

    def asked(self, times: int = 1) -> list[asyncio.Task[bytes]]:
        return [asyncio.get_running_loop().create_task(self.get()) for _ in range(times)]

    async def is_reading(self) -> None:
        """Wait until a fetch has read its key, and stands before the gate."""
        assert await asyncio.to_thread(self.backend.reading.acquire, timeout=5)


@asynccontextmanager
async def _cache(backend: FakeBackend, deadline: float = 5.0) -> AsyncGenerator[_Cache]:
    blocking, sealer = Blocking(deadline), Sealer()

    def now() -> float:
        return found.now

    credentials = Credentials({"fake": backend}, lambda _: "fake", sealer, blocking, now)
    found = _Cache(backend, credentials)
    try:
        yield found
    finally:
        backend.gate.set()
        blocking.close()
        sealer.close()


@in_a_loop
async def test_a_key_is_fetched_once_and_then_kept() -> None:
    async with _cache(FakeBackend()) as cache:
        secret, credential = await cache.credentials.get("a")
        assert (secret.name, credential.value, credential.version) == ("a", b"key-1", "1")
        assert await cache.credentials.get("a") == (secret, credential)
        assert cache.backend.fetches == 1


@in_a_loop
async def test_what_is_kept_is_sealed() -> None:
    async with _cache(FakeBackend()) as cache:
        await cache.get()
        kept = cache.credentials._kept["a"]
        assert kept.credential.value == b""
        assert b"key-1" not in kept.sealed.ciphertext


@in_a_loop
async def test_of_a_hundred_who_ask_at_once_one_fetches() -> None:
    backend = FakeBackend()
    backend.gate.clear()
    async with _cache(backend) as cache:
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
    async with _cache(backend) as cache:
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
    async with _cache(backend) as cache:
        for caller in cache.asked(3):
            with pytest.raises(type(failure)):
                await caller
        backend.failure = None
        assert await cache.get() == b"key-1"


@in_a_loop
async def test_a_backend_that_takes_too_long_is_given_up() -> None:
    backend = FakeBackend()
    backend.gate.clear()
    async with _cache(backend, deadline=0.05) as cache:
        with pytest.raises(BackendTimeout, match="the backend of a"):
            await cache.get()


@in_a_loop
async def test_a_changed_key_is_fetched_at_once() -> None:
    async with _cache(FakeBackend()) as cache:
        await cache.get()
        cache.backend.rotate()
        assert await cache.get() == b"key-2"
        assert (await cache.credentials.describe("a")).version == "2"


@in_a_loop
async def test_a_change_during_a_fetch_is_not_lost() -> None:
    backend = FakeBackend()
    backend.gate.clear()
    async with _cache(backend) as cache:
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
    async with _cache(backend) as cache:
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
    async with _cache(backend) as cache:
        caller = cache.asked()[0]
        await cache.is_reading()
        backend.version += 1  # as the embedded store's revision does
        backend.failure = Locked("the store is locked")
        cache.credentials.clear()
        backend.gate.set()
        with pytest.raises(Locked):
            await caller


@in_a_loop
async def test_a_key_that_changes_all_the_time_is_given_up() -> None:
    backend = FakeBackend()
    async with _cache(backend) as cache:
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
    async with _cache(FakeBackend()) as cache:
        await cache.get()
        cache.credentials.forget("a", "1")
        await cache.get()
        assert cache.backend.fetches == 2


@in_a_loop
async def test_a_late_report_of_an_old_key_harms_no_new_one() -> None:
    async with _cache(FakeBackend()) as cache:
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
    async with _cache(backend) as cache:
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
    async with _cache(backend) as cache:
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
    async with _cache(backend) as cache:
        caller = cache.asked()[0]
        await asyncio.sleep(0)
        cache.credentials.forget("a", "1")
        with pytest.raises(BackendUnavailable):
            await caller
        backend.failure = None
        await cache.get()
        await cache.get()
        assert backend.fetches == 1


@in_a_loop
async def test_a_dying_key_is_fetched_again_before_it_dies() -> None:
    async with _cache(FakeBackend()) as cache:
        ends = cache.now + 100.0
        cache.backend.life = lambda: ends
        await cache.get()
        cache.now = ends - FLOOR_SECONDS - 0.1
        await cache.get()
        assert cache.backend.fetches == 1
        cache.now = ends - FLOOR_SECONDS
        cache.backend.life = lambda: ends + 1000.0
        await cache.get()
        assert cache.backend.fetches == 2


@in_a_loop
async def test_a_key_with_a_life_below_the_floor_costs_one_fetch_for_each_request() -> None:
    async with _cache(FakeBackend()) as cache:
        cache.backend.life = lambda: cache.now + FLOOR_SECONDS / 2
        assert await cache.get() == b"key-1"
        assert cache.backend.fetches == 1


@in_a_loop
async def test_what_was_minted_for_one_lease_is_never_shared_or_kept() -> None:
    backend = FakeBackend(minting=True)
    backend.gate.clear()
    async with _cache(backend) as cache:
        callers = cache.asked(20)
        await cache.is_reading()
        backend.gate.set()
        keys = await asyncio.gather(*callers)
        assert len(set(keys)) == 20
        assert cache.credentials._kept == {}
        assert await cache.get() not in keys


@in_a_loop
async def test_nothing_is_kept_after_clear() -> None:
    async with _cache(FakeBackend()) as cache:
        await cache.get()
        cache.credentials.clear()
        assert cache.credentials._kept == {}
        await cache.get()
        assert cache.backend.fetches == 2


@in_a_loop
async def test_a_description_alone_fetches_no_key() -> None:
    async with _cache(FakeBackend()) as cache:
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
