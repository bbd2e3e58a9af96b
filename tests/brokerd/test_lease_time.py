"""When a lease ends, and what of it is checked again: with time and a backend that a test sets."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest

from brokerd.ending import Reason
from brokerd.following import Following
from brokershim.errors import (
    AuditUnavailable,
    BackendUnavailable,
    BrokerError,
    ConfigError,
    LeaseNotFound,
    NotGranted,
    PeerGone,
)
from tests.support.backends import FakeBackend
from tests.support.daemon import World
from tests.support.inner import Inner, InnerClient, inner_daemon
from tests.support.serving import in_a_loop, until


@pytest.fixture
def granted(world: World) -> World:
    world.grant("*")
    return world


async def _fetching(inner: Inner) -> None:
    assert await asyncio.to_thread(inner.backend.reading.acquire, timeout=5)


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
        inner.daemon._leases._expiries.clear()  # the timer knows of nothing
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
        with pytest.raises(BackendUnavailable, match="about to expire"):
            await client.call("lease.renew", lease=reply["lease"])


@in_a_loop
async def test_a_key_that_is_about_to_die_is_not_leased(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        inner.backend.life = lambda: inner.now + 29.0
        client = await inner.holder()
        with pytest.raises(BackendUnavailable, match="about to expire"):
            await client.lease()
        await until(lambda: inner.backend.revoked == ["upstream-1"])
        assert len(inner.daemon._leases) == 0


@in_a_loop
async def test_what_was_made_for_a_lease_is_revoked_when_it_ends(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        client = await inner.holder()
        released = await client.lease()
        expiring = await client.lease()
        pending = inner.daemon._journal.pending()
        assert [each.lease for each in pending] == [released, expiring]
        await client.call("lease.release", lease=released)
        await until(lambda: inner.backend.revoked == ["upstream-1"])
        inner.now += 900
        await until(lambda: inner.backend.revoked == ["upstream-1", "upstream-2"])
        await until(lambda: inner.daemon._journal.pending() == [])
        await until(lambda: set(inner.endings()) == {released, expiring})


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
        await _fetching(inner)
        assert await other.call("lease.revoke", all=True) == {"revoked": 0}
        inner.backend.gate.set()
        with pytest.raises(NotGranted, match="revoked by hand"):
            await waiting
        assert len(inner.daemon._leases) == 0


@in_a_loop
async def test_a_rotation_during_the_fetch_gives_the_new_key(granted: World) -> None:
    async with inner_daemon(granted) as inner:
        inner.backend.gate.clear()
        client = await inner.holder()
        waiting = asyncio.create_task(client.call("lease.acquire", secret="a"))
        await _fetching(inner)
        inner.backend.rotate()
        inner.backend.gate.set()
        assert (await waiting)["value"] == "key-2"


@in_a_loop
async def test_a_renewal_after_a_rotation_is_refused(granted: World) -> None:
    """For a backend that tells nobody when it changes."""
    async with inner_daemon(granted) as inner:
        client = await inner.holder()
        lease = await client.lease()
        inner.backend.rotate()
        with pytest.raises(LeaseNotFound):
            await client.call("lease.renew", lease=lease)
        heard = await client.hears()
        assert (heard["method"], heard["params"]["lease"]) == ("secret.rotated", lease)


@in_a_loop
async def test_a_holder_that_hangs_up_during_the_fetch_gets_no_lease(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        inner.backend.gate.clear()
        client, other = await inner.client(), await inner.holder()
        client.send(b'{"jsonrpc":"2.0","id":5,"method":"lease.acquire","params":{"secret":"a"}}\n')
        await _fetching(inner)
        await client.close()
        await until(lambda: len(inner.daemon._server) == 1)
        inner.backend.gate.set()
        await until(lambda: inner.backend.revoked == ["upstream-1"])
        await until(lambda: list(inner.endings().values()) == ["never delivered"])
        assert (await other.call("lease.list"))["leases"] == []


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
        await _fetching(inner)
        granted.write_config("policy.toml", policy)
        await until(lambda: granted.events("policy.changed") != [])
        inner.backend.gate.set()
        with pytest.raises((NotGranted, ConfigError)):
            await waiting


@in_a_loop
async def test_without_an_audit_no_key_is_given_and_what_ends_ends(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        client = await inner.holder()
        held = await client.lease()
        log = inner.daemon._audit_log
        real, log.append = log.append, _refuse  # type: ignore[method-assign]
        with pytest.raises(AuditUnavailable, match="disk is full"):
            await client.call("lease.acquire", secret="a")
        await until(lambda: inner.backend.revoked == ["upstream-2"])
        await client.call("lease.release", lease=held)
        await until(lambda: inner.backend.revoked == ["upstream-2", "upstream-1"])
        assert len(inner.daemon._leases) == 0
        with pytest.raises(AuditUnavailable):
            await client.call("session.open", program="/bin/true", env={"V": "a"})
        log.append = real  # type: ignore[method-assign]
        await inner.holder()


def _refuse(event: str, **fields: Any) -> Any:
    raise AuditUnavailable(f"the disk is full, so {event} cannot be written, nor {len(fields)}")


@in_a_loop
async def test_a_timer_that_fails_takes_the_daemon_with_it(
    granted: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Following) -> None:
        raise RuntimeError("the timer broke")

    async with inner_daemon(granted) as inner:
        client = await inner.holder()
        lease = await client.lease()
        monkeypatch.setattr(Following, "look", fail)
        heard = await client.hears()
        assert heard["params"] == {"lease": lease, "secret": "a", "reason": "daemon stopped"}
        assert await client.is_over()
        with pytest.raises(RuntimeError, match="the timer broke"):
            await inner.running


async def _while_it_is_audited(
    inner: Inner, client: InnerClient, change: Callable[[], Any]
) -> BrokerError:
    """Change something when a lease waits to be on record, and return why it was not given."""
    real = inner.daemon._audit.record

    async def record(event: str, **fields: Any) -> Any:
        if event == "lease.acquired":
            await change()
        return await real(event, **fields)

    with (
        mock.patch.object(inner.daemon._audit, "record", record),
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
            inner.daemon._endings.end(inner.daemon._leases.of_secret("a"), Reason.ROTATED)

        error = await _while_it_is_audited(inner, client, rotate)
        assert isinstance(error, LeaseNotFound)


@in_a_loop
async def test_who_leaves_the_session_during_the_fetch_gets_nothing(granted: World) -> None:
    """Here the session ends; an orphan, whose parent ended meanwhile, has left it as well."""
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        inner.backend.gate.clear()
        client, other = await inner.holder(), await inner.client()
        waiting = asyncio.create_task(client.lease())
        await _fetching(inner)
        await other.call("session.open", program="/bin/false", env={"V": "a"})
        inner.backend.gate.set()
        with pytest.raises(PeerGone, match="left session"):
            await waiting
        await until(lambda: inner.backend.revoked == ["upstream-1"])


@in_a_loop
async def test_a_lock_forgets_every_key_and_ends_what_the_embedded_store_holds(
    granted: World,
) -> None:
    async with inner_daemon(granted) as inner:
        client = await inner.holder()
        lease = await client.lease()
        credentials = inner.daemon._parts.credentials
        assert credentials._kept
        await client.call("store.lock")
        assert credentials._kept == {}
        assert (await client.call("lease.renew", lease=lease))["lease"] == lease


@in_a_loop
async def test_the_daemon_ends_in_order_though_nothing_can_be_audited(
    granted: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        client = await inner.holder()
        await client.lease()
        with mock.patch.object(inner.daemon._audit_log, "append", _refuse):
            os.kill(os.getpid(), signal.SIGTERM)
            assert (await client.hears())["params"]["reason"] == "daemon stopped"
            assert await client.is_over()
            await until(lambda: inner.backend.revoked == ["upstream-1"])
            await inner.running
        assert "the end of the daemon is not in the audit" in caplog.text
        assert "the end of session" in caplog.text


@in_a_loop
async def test_a_thousand_leases_that_end_together_hold_nobody_up(granted: World) -> None:
    async with inner_daemon(granted) as inner:
        holder, other = await inner.holder(), await inner.client()
        for _ in range(1000):
            await holder.lease()
        reader = asyncio.create_task(_hear(holder, 1000))
        inner.now += 900
        began = time.process_time()
        await other.call("daemon.status")
        assert time.process_time() - began < 0.5
        await reader
        assert len(inner.daemon._leases) == 0


async def _hear(client: InnerClient, times: int) -> None:
    for _ in range(times):
        await client.hears()
