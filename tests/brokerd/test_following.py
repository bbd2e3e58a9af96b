"""What does a change of policy.toml do to leases, and to those on their way?"""

from __future__ import annotations

import asyncio

import pytest

from brokershim.errors import BrokerError, ConfigError, NotGranted
from tests.support.backends import FakeBackend
from tests.support.daemon import World
from tests.support.inner import inner_daemon
from tests.support.serving import in_a_loop, until


@in_a_loop
async def test_a_policy_that_changes_ends_what_it_no_longer_grants(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend({"a": b"1", "b": b"2"})) as inner:
        client = await inner.holder("a", "b")
        kept, lost = await client.lease("b"), await client.lease("a")
        granted.grant("b")
        heard = await client.hears()
        assert heard["method"] == "lease.revoked"
        assert heard["params"] == {"lease": lost, "secret": "a", "reason": "no longer granted"}
        assert (await client.call("lease.renew", lease=kept))["lease"] == kept
        with pytest.raises(NotGranted):
            await client.lease("a")


@pytest.mark.parametrize("what", ["removed", "broken", "loose", "nested without end"])
@in_a_loop
async def test_a_policy_that_cannot_be_read_grants_nothing(granted: World, what: str) -> None:
    async with inner_daemon(granted) as inner:
        client = await inner.holder()
        lease = await client.lease()
        match what:
            case "removed":
                (granted.config / "policy.toml").unlink()
            case "broken":
                granted.write_config("policy.toml", "[[grant]\n")
            case "loose":
                (granted.config / "policy.toml").chmod(0o666)
            case _:
                granted.write_config("policy.toml", "a = " + "[" * 50_000)
        assert (await client.hears())["params"]["reason"] == "no longer granted"
        with pytest.raises(BrokerError):
            await client.lease()
        granted.write_config("policy.toml", "")
        granted.grant("*")
        assert await client.lease() != lease
        inner.now += 900  # the timer has outlived all that
        assert (await client.hears())["params"]["reason"] == "expired"


@in_a_loop
async def test_a_policy_that_grants_the_same_ends_nothing(granted: World) -> None:
    async with inner_daemon(granted) as inner:
        client = await inner.holder()
        lease = await client.lease()
        granted.write_config(
            "policy.toml", '# said otherwise\n[[grant]]\nfolder = "/"\nsecrets = ["a"]\n'
        )
        await asyncio.sleep(0.05)
        assert client.told == []
        assert (await client.call("lease.renew", lease=lease))["lease"] == lease


@pytest.mark.parametrize("policy", ['[[grant]]\nfolder = "/"\nsecrets = ["b"]\n', "", "[[broken"])
@in_a_loop
async def test_a_changed_policy_counts_for_a_lease_whose_key_was_on_its_way(
    granted: World, policy: str
) -> None:
    async with inner_daemon(granted) as inner:
        inner.backend.gate.clear()
        client = await inner.holder()
        waiting = asyncio.create_task(client.lease())
        await inner.is_fetching()
        granted.write_config("policy.toml", policy)
        await until(lambda: granted.events("policy.changed") != [])
        inner.backend.gate.set()
        with pytest.raises((NotGranted, ConfigError)):
            await waiting
