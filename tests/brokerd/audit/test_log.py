"""An event is on record before anything is given out, or an error says that it is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from brokerd.audit import AuditHead, AuditLog
from brokerd.audit.line import START
from brokerd.audit.verify import verify
from brokershim.errors import AuditUnavailable
from tests.support.faults import broken, no_file_over
from tests.support.plainuser import plain_folder, run_as_plain_user


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "audit"


@pytest.fixture
def log(folder: Path) -> Iterator[AuditLog]:
    log = AuditLog(str(folder), wall_clock=lambda: 0.0)
    yield log
    log.close()


def _events(folder: Path) -> list[str]:
    lines = (folder / "audit-000001.jsonl").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_events_are_appended_in_order_and_everything_is_private(
    folder: Path, log: AuditLog
) -> None:
    log.append("lease.granted", secret="openai/dev", pid=7)
    log.append("lease.ended", secret="openai/dev", reason="released")
    log.sync()
    assert _events(folder) == ["lease.granted", "lease.ended"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert sorted(path.name for path in folder.iterdir()) == ["audit-000001.jsonl", "head"]


def test_the_head_is_what_is_on_disk(log: AuditLog) -> None:
    assert log.head == START
    appended = log.append("one")
    assert log.head == START
    log.sync()
    assert log.head == appended == AuditHead(1, appended.hash)


def test_the_chain_goes_on_after_a_restart(folder: Path) -> None:
    for expected in (1, 2, 3):
        log = AuditLog(str(folder))
        assert log.append("daemon.started").seq == expected
        log.close()
        report = verify(str(folder))
        assert (report.events, report.head, report.problems) == (expected, log.head, ())


def test_a_restart_adds_nothing_of_its_own(folder: Path) -> None:
    AuditLog(str(folder)).close()
    AuditLog(str(folder)).close()
    assert (folder / "audit-000001.jsonl").read_bytes() == b""


def test_the_next_file_goes_on_in_the_chain(folder: Path) -> None:
    log = AuditLog(str(folder), max_bytes=600)
    for number in range(7):
        log.append("x", number=number)
    log.close()
    files = sorted(path.name for path in folder.glob("audit-*"))
    assert files == [f"audit-{n:06d}.jsonl" for n in (1, 2, 3, 4)]
    assert all((folder / name).stat().st_size <= 600 for name in files)
    assert verify(str(folder)).problems == ()
    assert verify(str(folder)).events == 7
    log = AuditLog(str(folder), max_bytes=600)
    assert log.append("y").seq == 8
    log.close()
    assert verify(str(folder)).problems == ()


def test_a_file_is_on_disk_before_the_next_is_begun(folder: Path) -> None:
    """Else a later sync, of the next file, would vouch for lines that it does not cover."""
    log = AuditLog(str(folder), max_bytes=10)
    first = log.append("first")
    with broken("brokerd.linefile.sync_data"), pytest.raises(AuditUnavailable):
        log.append("lost")
    with pytest.raises(AuditUnavailable):
        log.sync()  # whoever waits for it must hear that the first one is gone
    assert log.head == START
    log.append("first again")
    synced: list[int] = []
    with mock.patch("brokerd.linefile.sync_data", synced.append):
        log.append("second")
    assert len(synced) == 1
    assert log.head.seq == first.seq
    log.close()
    assert verify(str(folder)).problems == ()


def test_only_one_process_writes_a_log(folder: Path, log: AuditLog) -> None:
    with pytest.raises(AuditUnavailable, match="another process") as caught:
        AuditLog(str(folder))
    assert "daemon stop" in caught.value.hint
    log.close()
    AuditLog(str(folder)).close()


def test_a_full_disk_is_an_error_and_tears_nothing(folder: Path, log: AuditLog) -> None:
    log.append("before")
    log.sync()
    size = (folder / "audit-000001.jsonl").stat().st_size
    with no_file_over(size + 50), pytest.raises(AuditUnavailable, match="No space") as caught:
        log.append("lost")
    assert "disk space" in caught.value.hint
    with no_file_over(size), pytest.raises(AuditUnavailable, match="too large"):
        log.append("lost")
    assert log.append("after").seq == 2
    log.sync()
    assert _events(folder) == ["before", "after"]
    assert verify(str(folder), log.head).problems == ()


def test_a_torn_line_that_cannot_be_taken_back_stops_the_log_until_it_can(
    folder: Path, log: AuditLog
) -> None:
    with broken("os.ftruncate"):
        with no_file_over(50), pytest.raises(AuditUnavailable):
            log.append("lost")
        for _ in range(2):
            with pytest.raises(AuditUnavailable):
                log.append("lost")
    log.append("after")
    log.sync()
    assert _events(folder) == ["after"]
    assert verify(str(folder), log.head).problems == ()


def test_events_whose_sync_failed_are_not_on_record(folder: Path, log: AuditLog) -> None:
    log.append("before")
    log.sync()
    log.append("lost")
    with broken("brokerd.linefile.sync_data"), pytest.raises(AuditUnavailable, match="Input/out"):
        log.sync()
    assert log.head.seq == 1
    assert log.append("after").seq == 2
    log.sync()
    assert _events(folder) == ["before", "after"]
    assert verify(str(folder), log.head).problems == ()


def test_a_full_disk_between_two_files_is_an_error_and_loses_nothing(folder: Path) -> None:
    log = AuditLog(str(folder), max_bytes=10)
    log.append("first")
    with no_file_over(0), pytest.raises(AuditUnavailable):
        log.append("lost")
    log.append("second")
    log.close()
    report = verify(str(folder))
    assert (report.files, report.events, report.problems) == (2, 2, ())


def test_a_read_only_folder_is_an_error() -> None:
    imports = "from brokerd.audit import AuditLog; from brokershim.errors import AuditUnavailable"
    code = """
import os
log = AuditLog(folder + "/audit", max_bytes=10)
log.append("first")
os.chmod(folder + "/audit", 0o500)
for attempt in (lambda: log.append("second"), lambda: AuditLog(folder + "/audit/deeper")):
    try:
        attempt()
    except AuditUnavailable as error:
        print(error.kind, str(error).rpartition(": ")[2])
os.chmod(folder + "/audit", 0o700)
log.append("second")
log.close()
"""
    with plain_folder() as folder:
        said = run_as_plain_user(imports, code, folder)
    assert said == "audit Permission denied\n" * 2


@pytest.mark.parametrize("name", ["audit-000001.jsonl", "head"])
def test_a_log_that_failed_to_open_holds_no_lock(folder: Path, name: str) -> None:
    AuditLog(str(folder)).close()
    good = (folder / name).read_bytes()
    (folder / name).write_bytes(b"rubbish\n")
    with pytest.raises(AuditUnavailable):
        AuditLog(str(folder))
    (folder / name).write_bytes(good)
    AuditLog(str(folder)).close()


def test_a_closed_log_takes_nothing(folder: Path) -> None:
    log = AuditLog(str(folder))
    log.close()
    log.close()
    with pytest.raises(AuditUnavailable):
        log.append("late")
