"""One wait for the disk covers all events of a turn of the event loop."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from brokerd.audit import AuditHead, AuditLog, GroupCommit
from brokerd.audit.reader import events
from brokerd.audit.verify import verify
from brokershim.errors import AuditUnavailable
from tests.support.faults import broken, no_file_over

SYNC = "brokerd.linefile.sync_data"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def log(folder: Path) -> Iterator[AuditLog]:
    log = AuditLog(str(folder))
    yield log
    log.close()


def test_an_event_is_on_disk_when_record_returns(log: AuditLog) -> None:
    async def record() -> AuditHead:
        return await GroupCommit(log).record("x", pid=1)

    assert asyncio.run(record()) == log.head
    assert log.head.seq == 1


def test_events_of_one_turn_share_one_sync(folder: Path, log: AuditLog) -> None:
    async def record() -> list[AuditHead]:
        group = GroupCommit(log)
        return await asyncio.gather(*(group.record("x", number=n) for n in range(20)))

    with mock.patch(SYNC) as sync:
        heads = asyncio.run(record())
    assert sync.call_count == 1
    assert [head.seq for head in heads] == list(range(1, 21))
    assert verify(str(folder), log.head).problems == ()


def test_nobody_is_answered_before_the_sync(log: AuditLog) -> None:
    order: list[str] = []

    async def one(group: GroupCommit) -> None:
        await group.record("x")
        order.append("answered")

    async def both() -> None:
        group = GroupCommit(log)
        await asyncio.gather(one(group), one(group))

    def sync(_fd: int) -> None:
        order.append("synced")

    with mock.patch(SYNC, sync):
        asyncio.run(both())
    assert order == ["synced", "answered", "answered"]


def test_all_who_wait_hear_of_a_failed_sync_and_the_next_ones_do_not(log: AuditLog) -> None:
    async def record() -> list[AuditHead | BaseException]:
        group = GroupCommit(log)
        with broken(SYNC):
            failed = await asyncio.gather(
                *(group.record("lost") for _ in range(3)), return_exceptions=True
            )
        return [*failed, await group.record("after")]

    *failed, after = asyncio.run(record())
    assert all(isinstance(error, AuditUnavailable) for error in failed)
    assert len({id(error) for error in failed}) == 3  # each has a traceback of its own
    assert after == log.head == AuditHead(1, log.head.hash)


def test_all_whose_events_a_failed_change_of_files_took_hear_of_it(folder: Path) -> None:
    """The sync that fails is not the one they wait for; that one would find nothing to do."""
    log = AuditLog(str(folder), max_bytes=10)

    async def record() -> list[AuditHead | BaseException]:
        group = GroupCommit(log)
        failures = [OSError(errno.EIO, "Input/output error"), None, None]
        with mock.patch(SYNC, side_effect=failures):
            return await asyncio.gather(
                *(group.record("x", number=n) for n in range(3)), return_exceptions=True
            )

    first, second, _ = asyncio.run(record())
    assert isinstance(first, AuditUnavailable)
    assert isinstance(second, AuditUnavailable)
    log.close()
    assert [event["number"] for event in events(str(folder))] == [2]
    assert verify(str(folder)).problems == ()


def test_one_that_is_alone_does_not_wait_for_company(log: AuditLog) -> None:
    async def record() -> int:
        group = GroupCommit(log, alone=lambda: True)
        turns: list[None] = []
        asyncio.get_running_loop().call_soon(turns.append, None)
        await group.record("x")
        assert log.head.seq == 1
        with broken(SYNC), pytest.raises(AuditUnavailable):
            await group.record("lost")
        return len(turns)

    assert asyncio.run(record()) == 0


def test_only_the_one_whose_event_did_not_fit_hears_of_it(log: AuditLog) -> None:
    async def record() -> tuple[AuditHead | BaseException, AuditHead | BaseException]:
        group = GroupCommit(log)
        first = asyncio.ensure_future(group.record("x"))
        second = asyncio.ensure_future(group.record("y" * 300))
        with no_file_over(300):
            return await asyncio.gather(first, second, return_exceptions=True)

    first, second = asyncio.run(record())
    assert first == log.head
    assert isinstance(second, AuditUnavailable)


def test_one_that_is_cancelled_does_not_take_the_others_away(log: AuditLog) -> None:
    async def record() -> AuditHead:
        group = GroupCommit(log)
        tasks = [asyncio.ensure_future(group.record("x")) for _ in range(2)]
        asyncio.get_running_loop().call_soon(tasks[0].cancel)
        head = await tasks[1]
        assert tasks[0].cancelled()
        return head

    assert asyncio.run(record()).seq == 2
    assert log.head.seq == 2
