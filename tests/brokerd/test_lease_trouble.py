"""What if the audit or the timer fails? Nothing is given, and what ends ends."""

from __future__ import annotations

import os
import signal
from typing import Any
from unittest import mock

import pytest

from brokerd.following import Following
from brokershim.errors import AuditUnavailable, LeaseNotFound
from tests.support.backends import FakeBackend
from tests.support.daemon import World
from tests.support.inner import inner_daemon
from tests.support.serving import in_a_loop, until


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
async def test_without_an_audit_no_key_is_given_and_what_ends_ends(granted: World) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        client = await inner.holder()
        held = await client.lease()
        log = inner.daemon._parts.audit_log
        real, log.append = log.append, _refuse  # type: ignore[method-assign]
        with pytest.raises(AuditUnavailable, match="disk is full"):
            await client.call("lease.acquire", secret="a")
        await until(lambda: inner.backend.revoked == ["upstream-2"])
        await client.call("lease.release", lease=held)
        await until(lambda: inner.backend.revoked == ["upstream-2", "upstream-1"])
        assert len(inner.daemon._parts.leases) == 0
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


@in_a_loop
async def test_the_daemon_ends_in_order_though_nothing_can_be_audited(
    granted: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with inner_daemon(granted, FakeBackend(minting=True)) as inner:
        client = await inner.holder()
        await client.lease()
        with mock.patch.object(inner.daemon._parts.audit_log, "append", _refuse):
            os.kill(os.getpid(), signal.SIGTERM)
            assert (await client.hears())["params"]["reason"] == "daemon stopped"
            assert await client.is_over()
            await until(lambda: inner.backend.revoked == ["upstream-1"])
            await inner.running
        assert "the end of the daemon is not in the audit" in caplog.text
        assert "the end of session" in caplog.text


@in_a_loop
async def test_what_ends_something_is_done_though_it_cannot_be_audited(granted: World) -> None:
    async with inner_daemon(granted) as inner:
        client, other = await inner.holder(), await inner.client()
        lease = await client.lease()
        with mock.patch.object(inner.daemon._parts.audit_log, "append", _refuse):
            with pytest.raises(AuditUnavailable):
                await other.call("lease.revoke", all=True)
            assert (await client.hears())["params"]["lease"] == lease
            with pytest.raises(AuditUnavailable):
                await other.call("store.lock")
            with pytest.raises(AuditUnavailable):
                await other.call("daemon.stop")
            await inner.running
        assert await client.is_over()
