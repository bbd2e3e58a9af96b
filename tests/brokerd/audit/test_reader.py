"""Events are read back in order, while the log is being written."""

from __future__ import annotations

from pathlib import Path

import pytest

from brokerd.audit import AuditLog
from brokerd.audit.reader import events
from brokershim.errors import AuditUnavailable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "audit"
    log = AuditLog(str(folder), max_bytes=700)
    for number in range(1, 8):
        log.append("x", number=number)
    log.close()
    return folder


def test_events_come_oldest_first_with_their_fields(folder: Path) -> None:
    found = list(events(str(folder)))
    assert [event["number"] for event in found] == [1, 2, 3, 4, 5, 6, 7]
    assert found[0]["event"] == "x"


def test_a_line_that_is_half_written_is_left_out(folder: Path) -> None:
    with (folder / "audit-000003.jsonl").open("ab") as file:
        file.write(b'{"seq":8')
    (folder / "audit-000004.jsonl").touch(0o600)
    assert [event["seq"] for event in events(str(folder))] == [1, 2, 3, 4, 5, 6, 7]


def test_a_damaged_line_is_named_after_the_good_ones(folder: Path) -> None:
    path = folder / "audit-000002.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"number":5', b'"number":9'))
    stream = events(str(folder))
    assert [next(stream)["seq"] for _ in range(4)] == [1, 2, 3, 4]
    with pytest.raises(AuditUnavailable, match=r"audit-000002\.jsonl line 2") as caught:
        next(stream)
    assert "audit verify" in caught.value.hint


def test_a_log_that_cannot_be_read_is_an_error(folder: Path) -> None:
    (folder / "audit-000003.jsonl").chmod(0o644)
    with pytest.raises(AuditUnavailable, match="mode 0644"):
        list(events(str(folder)))
    with pytest.raises(AuditUnavailable, match="No such file"):
        list(events(str(folder / "nothing")))
