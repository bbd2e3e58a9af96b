"""secret.rotate and secret.rotation: asked for with a trace, and told to every holder at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from brokershim.errors import (
    BackendRefused,
    BrokerError,
    SecretNotFound,
    ServerDown,
    UsageError,
)
from tests.support.backends import FakeBackend
from tests.support.daemon import World
from tests.support.inner import Inner, inner_daemon
from tests.support.serving import in_a_loop


@dataclass
class Rotated(FakeBackend):
    """One that can be asked for another key.

    Attributes:
        refusal: What it says instead.
        failure_later: What it says of how it goes.
    """

    tells: bool = False
    max_staleness: float | None = 100.0
    refusal: BrokerError | None = None
    failure_later: BrokerError | None = None
    asked: list[str] = field(default_factory=list)

    def rotate(self, name: str = "a", key: bytes | None = None) -> str:  # type: ignore[override]
        """Take a request."""
        del key
        self.asked.append(name)
        if self.refusal is not None:
            raise self.refusal
        return str(self.version + 1)

    def has_rotated(self, name: str, version: str) -> bool:
        """Tell how it goes."""
        assert name in self.keys
        if self.failure_later is not None:
            raise self.failure_later
        return version == str(self.version)

    def turn(self) -> None:
        """Let the newer key be in use."""
        super().rotate()


def _events(inner: Inner) -> list[dict[str, Any]]:
    names = ("secret.rotating", "secret.not_rotated", "secret.rotated")
    return inner.world.events(*names)


@in_a_loop
async def test_whoever_holds_an_older_key_is_told_as_soon_as_the_newer_is_in_use(
    granted: World,
) -> None:
    backend = Rotated()
    async with inner_daemon(granted, backend) as inner:
        holder, other = await inner.holder(), await inner.client()
        lease = await holder.lease()
        version = (await other.call("secret.rotate", name="a"))["version"]
        ask = {"name": "a", "version": version}
        assert await other.call("secret.rotation", **ask) == {"done": False}
        assert holder.told == []
        backend.turn()
        assert await other.call("secret.rotation", **ask) == {"done": True}
        heard = await holder.hears()
        assert (heard["method"], heard["params"]["lease"]) == ("secret.rotated", lease)
        assert backend.looks == 0  # nobody waited for the next look
        assert (await holder.call("lease.acquire", secret="a"))["value"] == "key-2"


@in_a_loop
async def test_each_rotation_leaves_its_trace_once(granted: World) -> None:
    backend = Rotated()
    async with inner_daemon(granted, backend) as inner:
        holder = await inner.holder()
        await holder.lease()
        version = (await holder.call("secret.rotate", name="a"))["version"]
        backend.turn()
        for _ in range(3):
            await holder.call("secret.rotation", name="a", version=version)
        begun, done = _events(inner)
        assert (begun["event"], begun["secret"]) == ("secret.rotating", "a")
        assert begun["executable"]
        assert (done["event"], done["version"], done["leases"]) == ("secret.rotated", version, 1)


@in_a_loop
async def test_a_refusal_and_a_failure_leave_a_trace(granted: World) -> None:
    backend = Rotated()
    async with inner_daemon(granted, backend) as inner:
        client = await inner.client()
        backend.refusal = BackendRefused("no")
        with pytest.raises(BackendRefused):
            await client.call("secret.rotate", name="a")
        backend.refusal = None
        version = (await client.call("secret.rotate", name="a"))["version"]
        backend.failure_later = ServerDown("away")  # which says nothing of the rotation
        with pytest.raises(ServerDown):
            await client.call("secret.rotation", name="a", version=version)
        backend.failure_later = BackendRefused("it has failed")
        for _ in range(2):
            with pytest.raises(BackendRefused):
                await client.call("secret.rotation", name="a", version=version)
        kinds = [each["event"] for each in _events(inner)]
        assert kinds == ["secret.rotating", "secret.not_rotated"] * 2


@in_a_loop
async def test_a_key_that_was_on_its_way_before_is_not_kept(granted: World) -> None:
    backend = Rotated()
    async with inner_daemon(granted, backend) as inner:
        holder, late, other = await inner.holder(), await inner.holder(), await inner.client()
        await holder.lease()
        inner.daemon._parts.credentials.clear("fake")
        backend.gate.clear()
        waiting = asyncio.create_task(late.call("lease.acquire", secret="a"))
        for _ in range(2):
            await inner.is_fetching()
        version = (await other.call("secret.rotate", name="a"))["version"]
        backend.turn()
        await other.call("secret.rotation", name="a", version=version)
        backend.gate.set()
        assert (await waiting)["value"] == "key-2"


@in_a_loop
async def test_what_nothing_rotates_is_refused(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend()) as inner:
        client = await inner.client()
        with pytest.raises(UsageError, match="makes no newer key") as caught:
            await client.call("secret.rotate", name="a")
        assert "have it put into fake" in caught.value.hint  # `secret set` refuses it
        with pytest.raises(UsageError, match="makes no newer key"):
            await client.call("secret.rotation", name="a", version="1")


@in_a_loop
async def test_what_is_no_secret_is_not_told_to_be_stored(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend()) as inner:
        client = await inner.client()
        with pytest.raises(SecretNotFound):
            await client.call("secret.rotate", name="mistyped")
