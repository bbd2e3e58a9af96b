from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from brokerd import upstream as module
from brokerd.audit import AuditLog, GroupCommit
from brokerd.audit.reader import events
from brokerd.blocking import Blocking
from brokerd.journal import Journal
from brokerd.upstream import Upstream
from brokershim.errors import AuditUnavailable, BackendTimeout, BackendUnavailable
from tests.support.backends import FakeBackend
from tests.support.serving import in_a_loop, settle, until

_AWAY = BackendUnavailable("away")


class _Clock:
    """Stands in for asyncio: its sleep is over at once, and is written down."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.patience = 100

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) >= self.patience:
            await asyncio.Event().wait()  # and there it stays
        await asyncio.sleep(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


@dataclass
class _Scene:
    folder: Path
    journal: Journal
    audit: GroupCommit
    upstream: Upstream
    clock: _Clock
    backend: FakeBackend
    blocking: Blocking
    log: AuditLog = field(repr=False)

    def made(self, lease: str, backend: str = "fake") -> None:
        self.upstream.made(lease, backend, f"upstream-of-{lease}")

    def end(self, lease: str) -> None:
        self.upstream.end(lease, "fake", f"upstream-of-{lease}")

    def pending(self) -> list[str]:
        return [each.lease for each in self.journal.pending()]

    def revoked(self) -> list[str]:
        """Return the leases whose credential is revoked, says the audit."""
        found = events(str(self.folder / "audit"))
        return [each["lease"] for each in found if each["event"] == "upstream.revoked"]


@asynccontextmanager
async def _scene(folder: Path, *, deadline: float = 5.0) -> AsyncGenerator[_Scene]:
    """Put the parts together, on what an earlier one left in the folder."""
    log, journal = AuditLog(str(folder / "audit")), Journal(str(folder / "journal"))
    blocking, backend, clock = Blocking(deadline), FakeBackend(), _Clock()
    audit = GroupCommit(log)
    with mock.patch.object(module, "asyncio", clock):
        upstream = Upstream({"fake": backend}, journal, audit, blocking)
        try:
            yield _Scene(folder, journal, audit, upstream, clock, backend, blocking, log)
        finally:
            for task in upstream._tasks:
                task.cancel()
            backend.gate.set()
            blocking.close()
            journal.close()
            log.close()


@in_a_loop
async def test_what_was_minted_is_in_the_journal_until_it_is_revoked(tmp_path: Path) -> None:
    async with _scene(tmp_path) as scene:
        scene.made("x")
        assert scene.pending() == ["x"]
        scene.end("x")
        await scene.upstream.settle(5)
        assert scene.backend.revoked == ["upstream-of-x"]
        assert scene.pending() == []
        assert scene.revoked() == ["x"]


@in_a_loop
async def test_what_is_about_to_be_made_is_in_the_journal_and_then_what_was(
    tmp_path: Path,
) -> None:
    async with _scene(tmp_path) as scene:
        scene.upstream.about_to("x", "fake", "login-1")
        assert [each.upstream for each in scene.journal.pending()] == ["login-1"]
        scene.made("x")
        assert [each.upstream for each in scene.journal.pending()] == ["upstream-of-x"]


@in_a_loop
async def test_what_was_not_made_after_all_is_out_of_the_journal_and_not_revoked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with _scene(tmp_path) as scene:
        for name in "xy":
            scene.upstream.about_to(name, "fake", "login-1")
        scene.upstream.made_nothing("x")
        with mock.patch("brokerd.linefile.os.write", side_effect=OSError(28, "full")):
            scene.upstream.made_nothing("y")
        assert (scene.pending(), len(scene.upstream), scene.backend.revoked) == (["y"], 0, [])
    assert "lease y stays in the journal, though it is over" in caplog.text


@in_a_loop
async def test_what_was_made_and_cannot_be_written_down_is_revoked(tmp_path: Path) -> None:
    async with _scene(tmp_path) as scene:
        scene.upstream.about_to("x", "fake", "login-1")
        for name in "xy":
            with (
                mock.patch("brokerd.linefile.os.write", side_effect=OSError(28, "full")),
                pytest.raises(AuditUnavailable),
            ):
                scene.made(name)
        await scene.upstream.settle(5)
        assert sorted(scene.backend.revoked) == ["upstream-of-x", "upstream-of-y"]
        assert scene.pending() == []


@in_a_loop
async def test_it_counts_what_is_being_revoked(tmp_path: Path) -> None:
    async with _scene(tmp_path) as scene:
        scene.backend.gate.clear()
        for name in "xy":
            scene.made(name)
            scene.end(name)
        assert len(scene.upstream) == 2
        scene.backend.gate.set()
        await scene.upstream.settle(5)
        assert len(scene.upstream) == 0


@in_a_loop
async def test_the_journal_holds_ids_and_no_keys(tmp_path: Path) -> None:
    async with _scene(tmp_path) as scene:
        scene.made("x")
        text = (tmp_path / "journal").read_text()
        assert '"lease":"x","backend":"fake","upstream":"upstream-of-x"' in text


@in_a_loop
async def test_what_cannot_be_written_down_gives_no_key(tmp_path: Path) -> None:
    async with _scene(tmp_path) as scene:
        failure = OSError(28, "No space left on device")
        with (
            mock.patch("brokerd.linefile.os.write", side_effect=failure),
            pytest.raises(AuditUnavailable, match="No space left"),
        ):
            scene.made("x")


@in_a_loop
async def test_a_revocation_that_fails_is_tried_again_and_less_and_less_often(
    tmp_path: Path,
) -> None:
    async with _scene(tmp_path) as scene:
        scene.backend.revoke_failures = [_AWAY] * 9
        scene.made("x")
        scene.end("x")
        await until(lambda: scene.backend.revoked != [])
        await scene.upstream.settle(5)
        assert scene.clock.slept == [1, 2, 4, 8, 16, 32, 60, 60, 60]
        assert scene.pending() == []
        assert scene.revoked() == ["x"]


@in_a_loop
async def test_a_backend_that_hangs_is_tried_again(tmp_path: Path) -> None:
    async with _scene(tmp_path, deadline=0.02) as scene:
        scene.clock.patience = 2
        scene.backend.gate.clear()
        scene.made("x")
        scene.end("x")
        await until(lambda: len(scene.clock.slept) == 2)
        assert scene.pending() == ["x"]


@in_a_loop
async def test_one_that_fails_holds_up_no_other(tmp_path: Path) -> None:
    async with _scene(tmp_path) as scene:
        scene.clock.patience = 1
        scene.backend.revoke_failures = [BackendTimeout("slow")]
        for name in "xyz":
            scene.made(name)
            scene.end(name)
        await until(lambda: len(scene.backend.revoked) == 2)
        await until(lambda: len(scene.pending()) == 1)


@in_a_loop
async def test_many_at_a_backend_that_hangs_leave_the_daemon_its_threads(tmp_path: Path) -> None:
    async with _scene(tmp_path, deadline=2.0) as scene:
        scene.backend.gate.clear()
        names = [str(number) for number in range(100)]
        for name in names:
            scene.made(name)
            scene.end(name)
        await settle()
        assert await scene.blocking.run("another backend", lambda: "its key") == "its key"
        scene.backend.gate.set()
        await scene.upstream.settle(5)
        assert len(scene.backend.revoked) == len(names)


@in_a_loop
async def test_a_later_daemon_revokes_what_an_earlier_one_left(tmp_path: Path) -> None:
    async with _scene(tmp_path) as scene:
        scene.made("x")
        scene.made("y")
        scene.end("x")
        await scene.upstream.settle(5)
    async with _scene(tmp_path) as scene:
        scene.upstream.resume()
        await scene.upstream.settle(5)
        assert scene.backend.revoked == ["upstream-of-y"]
        assert scene.revoked() == ["x", "y"]
    async with _scene(tmp_path) as scene:
        scene.upstream.resume()
        await scene.upstream.settle(5)
        assert scene.backend.revoked == []


@in_a_loop
async def test_what_a_backend_that_is_gone_left_stays_in_the_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with _scene(tmp_path) as scene:
        scene.made("x", backend="vault")
        scene.made("y")
    with caplog.at_level(logging.WARNING):
        async with _scene(tmp_path) as scene:
            scene.clock.patience = 3
            scene.upstream.resume()
            await until(lambda: len(scene.clock.slept) == 3)
            assert scene.pending() == ["x"]
    assert "lease x: backend vault is not configured any more" in caplog.text
    async with _scene(tmp_path) as scene:
        assert scene.pending() == ["x"]


@in_a_loop
async def test_a_revocation_that_the_audit_cannot_hold_is_still_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with _scene(tmp_path) as scene:
        scene.made("x")
        with mock.patch.object(scene.audit, "record", side_effect=AuditUnavailable("full")):
            scene.end("x")
            await scene.upstream.settle(5)
        assert scene.backend.revoked == ["upstream-of-x"]
        assert scene.pending() == []
        assert "lease x was revoked, which the audit does not say" in caplog.text


@in_a_loop
async def test_a_revocation_that_the_journal_cannot_note_is_done_again_by_the_next(
    tmp_path: Path,
) -> None:
    async with _scene(tmp_path) as scene:
        scene.made("x")
        with mock.patch("brokerd.linefile.os.write", side_effect=OSError(28, "full")):
            scene.end("x")
            await scene.upstream.settle(5)
        assert scene.backend.revoked == ["upstream-of-x"]
        assert scene.clock.slept == []  # it is revoked: there is nothing to try again
        assert scene.pending() == ["x"]
    async with _scene(tmp_path) as scene:
        assert scene.pending() == ["x"]


@in_a_loop
async def test_the_end_waits_for_what_is_under_way_and_not_for_ever(tmp_path: Path) -> None:
    async with _scene(tmp_path) as scene:
        await scene.upstream.settle(0)
        scene.clock.patience = 1
        scene.backend.revoke_failures = [_AWAY]
        scene.made("x")
        scene.end("x")
        await scene.upstream.settle(0.05)
        assert scene.pending() == ["x"]


@in_a_loop
async def test_once_closed_it_begins_nothing_and_leaves_it_to_the_next_start(
    tmp_path: Path,
) -> None:
    async with _scene(tmp_path) as scene:
        scene.clock.patience = 1
        scene.backend.revoke_failures = [_AWAY]
        for name in "xy":
            scene.made(name)
        scene.end("x")
        await until(lambda: scene.clock.slept != [])
        await scene.upstream.close(0)
        scene.end("y")
        await until(lambda: len(scene.upstream) == 0)
        assert (scene.pending(), scene.backend.revoked) == (["x", "y"], [])


@in_a_loop
async def test_a_fault_of_ours_is_named_and_leaves_it_to_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with _scene(tmp_path) as scene:
        scene.made("x")
        with mock.patch.object(scene.backend, "revoke", side_effect=KeyError("SECRET")):
            scene.end("x")
            await until(lambda: len(scene.upstream) == 0)
        assert scene.pending() == ["x"]
    assert "lease x is left in the journal: KeyError" in caplog.text
    assert "SECRET" not in caplog.text
