"""Whatever was done to a log's files is found and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from brokerd.audit import AuditHead, AuditLog
from brokerd.audit.line import START, seal
from brokerd.audit.verify import MAX_PROBLEMS, Problem, verify
from tests.support.faults import broken


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files: seq 1 to 3, 4 to 6, 7."""
    folder = tmp_path / "audit"
    log = AuditLog(str(folder), max_bytes=700)
    for number in range(1, 8):
        log.append("x", number=number)
    log.close()
    return folder


FIRST, SECOND, THIRD = (f"audit-{n:06d}.jsonl" for n in (1, 2, 3))
_REWRITTEN = "rewritten: this line, or the one before, is not the one that was written"


def test_a_log_as_it_was_written_has_no_problem(folder: Path) -> None:
    report = verify(str(folder))
    assert (report.files, report.events, report.problems) == (3, 7, ())
    assert verify(str(folder), report.head).problems == ()


def _edit(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    (folder / name).write_bytes(change((folder / name).read_bytes()))


def _lines(folder: Path, name: str, order: list[int]) -> None:
    lines = (folder / name).read_bytes().splitlines(keepends=True)
    (folder / name).write_bytes(b"".join(lines[n] for n in order))


def _link(folder: Path) -> None:
    (folder / SECOND).rename(folder.parent / "real")
    (folder / SECOND).symlink_to(folder.parent / "real")


_SECOND_GONE = Problem(THIRD, 1, "missing: seq 4 to 6 before this line")


_Meddle = Callable[[Path], object]
_CHANGES: list[tuple[_Meddle, list[Problem]]] = [
    (
        lambda f: _edit(f, SECOND, lambda data: data.replace(b'"number":5', b'"number":6')),
        [Problem(SECOND, 2, "edited: it does not match its own hash")],
    ),
    (lambda f: _lines(f, FIRST, [0, 2]),
     [Problem(FIRST, 2, "missing: seq 2 to 2 before this line")]),
    (lambda f: _lines(f, SECOND, [1, 0, 2]),
     [Problem(SECOND, 1, "missing: seq 4 to 4 before this line"),
      Problem(SECOND, 2, "moved: seq 4 belongs further up")]),
    (lambda f: _lines(f, SECOND, [0, 0, 1, 2]), [Problem(SECOND, 2, "repeated: seq 4")]),
    (
        lambda f: (f / SECOND).unlink(),
        [Problem(SECOND, 0, f"missing: the log's files from {SECOND} to {SECOND}"),
         _SECOND_GONE],
    ),
    (
        lambda f: (f / THIRD).unlink(),
        [Problem(SECOND, 0, "truncated: seq 7 to 7 are missing at the end, says the anchor")],
    ),
    (
        lambda f: _edit(f, THIRD, lambda data: data[:-1]),
        [Problem(THIRD, 1, "torn: the line has no end"),
         Problem(THIRD, 0, "truncated: seq 7 to 7 are missing at the end, says the anchor")],
    ),
    (
        lambda f: _edit(f, SECOND, lambda data: data[:-5]),
        [Problem(SECOND, 3, "torn: the line has no end"),
         Problem(THIRD, 1, "missing: seq 6 to 6 before this line")],
    ),
    (
        lambda f: (f / SECOND).write_bytes(b""),
        [Problem(SECOND, 0, "empty: another file follows, so it held lines"), _SECOND_GONE],
    ),
    (
        lambda f: (f / "audit-0000001.jsonl").touch(0o600),
        [Problem("audit-0000001.jsonl", 0, "unknown: it is not part of the log")],
    ),
    (lambda f: (f / "head").unlink(), [Problem("head", 0, "missing: there is no such file")]),
    (
        lambda f: (f / "head").write_bytes(b"x"),
        [Problem("head", 0, "edited: it does not say where the log ends")],
    ),
    (
        lambda f: (f / "head").write_text(f"{5:020d} {'0' * 64}\n"),
        [Problem(SECOND, 2, "rewritten: the anchor knows another line as seq 5")],
    ),
    (
        lambda f: _edit(f, FIRST, lambda data: b"x" * 99_999 + b"\n" + data),
        [Problem(FIRST, 1, "edited: it does not end as an event does")],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("meddle", "problems"), _CHANGES)
def test_what_was_changed_is_named(folder: Path, meddle: _Meddle, problems: list[Problem]) -> None:
    meddle(folder)
    assert list(verify(str(folder)).problems) == problems


_OPENINGS: list[tuple[_Meddle, str, str]] = [
    (lambda f: f.chmod(0o750), "", "has mode 0750"),
    (lambda f: (f / SECOND).chmod(0o604), SECOND, "has mode 0604"),
    (lambda f: (f / "head").chmod(0o660), "head", "has mode 0660"),
    (_link, SECOND, "is a symbolic link"),
]


@pytest.mark.parametrize(("meddle", "file", "what"), _OPENINGS)
def test_a_log_that_others_could_reach_is_named(
    folder: Path, meddle: _Meddle, file: str, what: str
) -> None:
    meddle(folder)
    problem = verify(str(folder)).problems[0]
    assert problem.file == file
    assert problem.what.startswith("loose: ")
    assert what in problem.what


def test_loose_modes_do_not_keep_the_lines_from_being_checked(folder: Path) -> None:
    (folder / SECOND).chmod(0o644)
    assert verify(str(folder)).events == 7


def test_no_log_at_all_is_a_problem(tmp_path: Path) -> None:
    problems = verify(str(tmp_path / "nothing")).problems
    assert Problem("", 0, "missing: there is no such file") in problems


def test_a_file_that_cannot_be_read_is_a_problem(folder: Path) -> None:
    with broken("brokerd.audit.segments.lines_of"):
        problems = verify(str(folder)).problems
    assert Problem(FIRST, 0, "unreadable: Input/output error") in problems


def _rewrite(folder: Path) -> AuditHead:
    """Write another story, anchor and all, as someone of the same user could."""
    head, data = START, b""
    for number in range(1, 8):
        line, head = seal(head, 0.0, "y", {"number": number})
        data += line
    (folder / FIRST).write_bytes(data)
    for name in (SECOND, THIRD):
        (folder / name).unlink()
    (folder / "head").write_text(f"{head.seq:020d} {head.hash}\n")
    return head


def test_a_whole_other_story_is_found_only_by_a_head_from_elsewhere(folder: Path) -> None:
    known = verify(str(folder)).head
    _rewrite(folder)
    assert verify(str(folder)).problems == ()
    assert verify(str(folder), noted=known).problems == (
        Problem(FIRST, 7, "rewritten: the note knows another line as seq 7"),
    )


def test_a_tail_that_was_cut_off_with_its_anchor_is_found_by_the_daemons_head(
    folder: Path,
) -> None:
    known = verify(str(folder)).head
    (folder / THIRD).unlink()
    (folder / "head").write_text(f"{0:020d} {'0' * 64}\n")
    assert verify(str(folder)).problems == ()
    assert verify(str(folder), known).problems == (
        Problem(SECOND, 0, "truncated: seq 7 to 7 are missing at the end, says the daemon"),
    )


def test_a_line_that_a_daemon_writes_at_this_moment_is_no_problem(folder: Path) -> None:
    known = verify(str(folder)).head
    _edit(folder, THIRD, lambda data: data + b'{"seq":8,"ti')
    assert verify(str(folder), known).problems == ()
    torn = (Problem(THIRD, 2, "torn: the line has no end"),)
    assert verify(str(folder)).problems == torn
    assert verify(str(folder), noted=known).problems == torn  # a note is no sign of a daemon


def test_a_line_without_an_end_further_up_is_a_problem_for_a_daemon_too(folder: Path) -> None:
    known = verify(str(folder)).head
    _edit(folder, SECOND, lambda data: data + b'{"seq":7,"ti')
    problem = Problem(SECOND, 4, "torn: the line has no end")
    assert verify(str(folder), known).problems == (problem,)


def test_a_log_may_run_ahead_of_a_head_that_was_noted(folder: Path) -> None:
    known = verify(str(folder)).head
    log = AuditLog(str(folder), max_bytes=700)
    log.append("y")
    assert verify(str(folder), known).problems == ()  # while it is open, and not yet synced
    log.close()
    assert verify(str(folder), known).problems == ()


def test_a_file_of_rubbish_fills_neither_the_memory_nor_the_screen(folder: Path) -> None:
    (folder / FIRST).write_bytes(b"\n" * (MAX_PROBLEMS + 5))
    problems = verify(str(folder)).problems
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].what.startswith("stopped")


def test_the_anchor_is_read_again_while_it_changes(folder: Path) -> None:
    """Half of one write and half of the next would accuse an honest log."""
    whole = (folder / "head").read_bytes()
    torn = whole[:19] + b"9" + whole[20:]
    with mock.patch("os.pread", side_effect=[torn, whole, whole]):
        assert verify(str(folder)).problems == ()
