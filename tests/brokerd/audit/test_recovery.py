"""What is found at the next start: a torn line is cut off, anything else is left as evidence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from brokerd.audit import AuditLog
from brokerd.audit.line import MAX_LINE, START, seal
from brokerd.audit.verify import verify
from brokershim.errors import AuditUnavailable
from tests.support.steps import killed_at

CHILD = "tests.brokerd.audit.logging_child"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files: seq 1 to 3, 4 to 6, 7."""
    folder = tmp_path / "audit"
    log = AuditLog(str(folder), max_bytes=700)
    for number in range(7):
        log.append("x", number=number)
    log.close()
    return folder


def _last(folder: Path) -> Path:
    return max(folder.glob("audit-*"))


def _content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _events(folder: Path) -> list[str]:
    files = sorted(folder.glob("audit-*"))
    lines = b"".join(path.read_bytes() for path in files).splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_a_torn_line_is_cut_off_and_the_log_says_so(folder: Path) -> None:
    whole = _last(folder).read_bytes()
    _last(folder).write_bytes(whole + b'{"seq":8,"ti')
    AuditLog(str(folder)).close()
    line = _last(folder).read_bytes().removeprefix(whole)
    event = json.loads(line)
    assert event["event"] == "audit.recovered"
    assert (event["file"], event["bytes"]) == (_last(folder).name, 12)
    assert verify(str(folder)).problems == ()


def test_a_file_with_nothing_but_a_torn_line_goes_on_from_the_one_before(folder: Path) -> None:
    torn = folder / "audit-000004.jsonl"
    torn.write_bytes(b'{"seq')
    torn.chmod(0o600)
    AuditLog(str(folder)).close()
    report = verify(str(folder))
    assert (report.files, report.events, report.problems) == (4, 8, ())


def test_whole_lines_that_the_anchor_does_not_know_are_kept(folder: Path) -> None:
    """A kill between the write and the sync: nothing was given out for them, and it happened."""
    line, head = seal(verify(str(folder)).head, 0.0, "x", {})
    with _last(folder).open("ab") as file:
        file.write(line)
    log = AuditLog(str(folder))
    assert log.head == head
    log.close()
    assert (folder / "head").read_text() == f"{8:020d} {head.hash}\n"


def test_a_long_log_is_opened_by_its_last_lines(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    for start in (0, 500):
        log = AuditLog(str(folder), max_bytes=60_000)
        for number in range(start, start + 500):
            log.append("x", number=number)
        log.close()
    report = verify(str(folder))
    assert (report.files, report.events, report.problems) == (4, 1000, ())


def test_a_damaged_line_far_down_a_file_is_named_by_its_number(tmp_path: Path) -> None:
    folder = tmp_path / "long"
    log = AuditLog(str(folder))
    for number in range(500):
        log.append("x", number=number)
    log.close()
    path = _last(folder)
    path.write_bytes(path.read_bytes().replace(b'"number":490', b'"number":499'))
    with pytest.raises(AuditUnavailable, match="line 491: edited"):
        AuditLog(str(folder))


def _edit_last_line(folder: Path) -> None:
    path = _last(folder)
    path.write_bytes(path.read_bytes().replace(b'"number":6', b'"number":9'))


def _edit_last_file_but_one(folder: Path) -> None:
    path = folder / "audit-000002.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"number":5', b'"number":9'))


def _cut_a_line(folder: Path) -> None:
    lines = _last(folder).read_bytes().splitlines(keepends=True)
    _last(folder).write_bytes(b"".join(lines[:-1]))


def _cut_half_a_line(folder: Path) -> None:
    _last(folder).write_bytes(_last(folder).read_bytes()[:-50])


def _swap_lines(folder: Path) -> None:
    path = folder / "audit-000002.jsonl"
    path.write_bytes(b"".join(reversed(path.read_bytes().splitlines(keepends=True))))


def _remove_last_file(folder: Path) -> None:
    _last(folder).unlink()


def _remove_file_before(folder: Path) -> None:
    _last(folder).write_bytes(b"")
    (folder / "audit-000002.jsonl").unlink()


def _remove_anchor(folder: Path) -> None:
    (folder / "head").unlink()


def _damage_anchor(folder: Path) -> None:
    (folder / "head").write_bytes(b"7 abc\n")


def _empty_anchor(folder: Path) -> None:
    (folder / "head").write_bytes(b"")


def _other_anchor(folder: Path) -> None:
    (folder / "head").write_text(f"{7:020d} {'0' * 64}\n")


def _long_rubbish(folder: Path) -> None:
    with _last(folder).open("ab") as file:
        file.write(b"\0" * MAX_LINE)


def _rubbish_line(folder: Path) -> None:
    with _last(folder).open("ab") as file:
        file.write(b"x" * 20 * MAX_LINE + b"\n")


@pytest.mark.parametrize(
    ("meddle", "says"),
    [
        (_edit_last_line, "line 1: edited"),
        (_edit_last_file_but_one, "audit-000002.jsonl line 3: edited"),
        (_cut_a_line, "seq 7 to 7 are missing at the end"),
        (_cut_half_a_line, "seq 7 to 7 are missing at the end"),
        (_swap_lines, "audit-000002.jsonl line "),
        (_remove_last_file, "seq 7 to 7 are missing at the end"),
        (_remove_file_before, "No such file"),
        (_remove_anchor, "head: it is missing"),
        (_damage_anchor, "head: it does not say"),
        (_empty_anchor, "head: it does not say"),
        (_other_anchor, "the anchor knows another line"),
        (_long_rubbish, "it ends in what is no event"),
        (_rubbish_line, "it ends in what is no event"),
    ],
)
def test_damage_is_named_and_nothing_is_overwritten(
    folder: Path, meddle: Callable[[Path], None], says: str
) -> None:
    meddle(folder)
    before = _content(folder)
    with pytest.raises(AuditUnavailable, match=says):
        AuditLog(str(folder))
    assert _content(folder) == before


def test_a_log_without_lines_but_with_an_anchor_that_knows_some_is_damaged(folder: Path) -> None:
    for path in folder.glob("audit-*"):
        path.unlink()
    with pytest.raises(AuditUnavailable, match="seq 1 to 7 are missing") as caught:
        AuditLog(str(folder))
    assert "evidence" in caught.value.hint


@pytest.mark.parametrize(
    ("step", "events", "torn"),
    [
        ("half a line written", ["before"], True),
        ("written", ["before", "during"], False),
        ("synced", ["before", "during"], False),
        ("anchored", ["before", "during"], False),
        ("next file made", ["before"], False),
    ],
)
def test_a_kill_at_each_step_loses_nothing_that_was_synced(
    tmp_path: Path, step: str, events: list[str], torn: bool
) -> None:
    folder = tmp_path / "audit"
    killed_at(step, CHILD, str(folder))
    assert [problem.what.split(":")[0] for problem in verify(str(folder)).problems] == (
        ["torn"] if torn else []
    )
    log = AuditLog(str(folder))
    log.append("after")
    log.close()
    assert _events(folder) == events + (["audit.recovered"] if torn else []) + ["after"]
    assert verify(str(folder)).problems == ()


@pytest.mark.parametrize("step", ["anchor made", "first file made"])
def test_a_kill_during_the_very_first_start_is_not_in_the_way(tmp_path: Path, step: str) -> None:
    folder = tmp_path / "audit"
    killed_at(step, CHILD, str(folder))
    log = AuditLog(str(folder))
    assert log.head == START
    log.close()
    assert verify(str(folder)).problems == ()
