"""A journal that cannot be trusted or written says so, and is never overwritten."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from brokerd import journal
from brokerd.journal import Journal, JournalEntry
from brokershim.errors import AuditUnavailable
from tests.support.faults import broken, no_file_over
from tests.support.plainuser import plain_folder, run_as_plain_user


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.jsonl"


def _pending(path: Path) -> list[str]:
    """Return the leases that the next daemon would find."""
    found = Journal(str(path))
    found.close()
    return [entry.lease for entry in found.pending()]


def _opened(path: Path) -> None:
    log = Journal(str(path))
    log.opened("a", "vault", "x")
    log.opened("b", "vault", "y")
    log.close()


def test_a_torn_last_line_is_cut_off(path: Path) -> None:
    _opened(path)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"lease":"c","ba')
    assert _pending(path) == ["a", "b"]
    assert path.read_bytes() == whole


_DAMAGE: list[tuple[Callable[[bytes], bytes], str]] = [
    (lambda data: data.replace(b'"x"', b'"z"'), "line 1: it does not match its checksum"),
    (lambda data: b"\n" + data, "line 1: it does not match"),
    (
        lambda data: data + journal._opened_line(JournalEntry("a", "another", "x")),
        "line 3: it is out of place",
    ),
    (lambda data: data + journal._seal({"closed": "never"}), "line 3: it is out of place"),
    (lambda data: data + journal._seal({"opened": "c"}), "line 3: it is out of place"),
    (lambda data: data + b"\0" * 20_000, "line 3: it has no end"),
]


@pytest.mark.parametrize(("change", "says"), _DAMAGE)
def test_damage_is_named_and_nothing_is_overwritten(
    path: Path, change: Callable[[bytes], bytes], says: str
) -> None:
    _opened(path)
    damaged = change(path.read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(AuditUnavailable, match=says) as caught:
        Journal(str(path))
    assert str(path) in str(caught.value)
    assert "good copy" in caught.value.hint
    assert path.read_bytes() == damaged


def test_only_one_process_writes_a_journal(path: Path) -> None:
    log = Journal(str(path))
    with pytest.raises(AuditUnavailable, match="another process"):
        Journal(str(path))
    log.close()
    log.close()
    Journal(str(path)).close()


def test_the_lock_holds_across_a_compaction(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_COMPACT_LINES", 0)
    log = Journal(str(path))
    log.opened("a", "vault", "x")
    log.closed("a")
    log.opened("b", "vault", "y")
    with pytest.raises(AuditUnavailable, match="another process"):
        Journal(str(path))
    log.close()


def test_a_full_disk_is_an_error_and_loses_nothing(path: Path) -> None:
    _opened(path)
    log = Journal(str(path))
    size = path.stat().st_size
    with no_file_over(size + 10):
        with pytest.raises(AuditUnavailable, match="No space"):
            log.opened("c", "vault", "z")
        with pytest.raises(AuditUnavailable, match="No space"):
            log.closed("a")
    assert [entry.lease for entry in log.pending()] == ["a", "b"]
    log.opened("d", "vault", "z")
    log.close()
    assert _pending(path) == ["a", "b", "d"]


def test_an_opening_whose_sync_failed_is_not_pending(path: Path) -> None:
    log = Journal(str(path))
    with broken("brokerd.linefile.sync_data"), pytest.raises(AuditUnavailable, match="Input/out"):
        log.opened("a", "vault", "x")
    assert log.pending() == []
    log.opened("b", "vault", "y")
    log.close()
    assert _pending(path) == ["b"]


@pytest.mark.parametrize("fails", ["brokerd.linefile.os.write", "brokerd.linefile.sync_data"])
def test_an_amendment_that_is_not_on_disk_leaves_what_was_known(path: Path, fails: str) -> None:
    _opened(path)
    log = Journal(str(path))
    with broken(fails), pytest.raises(AuditUnavailable):
        log.amended("a", "better")
    with pytest.raises(AuditUnavailable, match="over 16384 bytes"):
        log.amended("a", "x" * 20_000)
    assert log.pending() == [JournalEntry("a", "vault", "x"), JournalEntry("b", "vault", "y")]
    log.closed("b")
    log.close()
    again = Journal(str(path))
    assert again.pending() == [JournalEntry("a", "vault", "x")]
    again.close()


def test_a_torn_amendment_is_cut_off(path: Path) -> None:
    _opened(path)
    line = journal._opened_line(JournalEntry("a", "vault", "better"))
    path.write_bytes(path.read_bytes() + line[:-5])
    again = Journal(str(path))
    assert again.pending()[0].upstream == "x"
    again.close()


def test_a_compaction_that_fails_keeps_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_COMPACT_LINES", 3)
    _opened(path)
    log = Journal(str(path))
    log.closed("a")
    log.closed("b")
    with broken("os.rename"), pytest.raises(AuditUnavailable):
        log.opened("c", "vault", "z")
    log.opened("d", "vault", "z")
    log.close()
    assert _pending(path) == ["d"]


def test_a_journal_that_was_taken_away_is_an_error(path: Path) -> None:
    log = Journal(str(path))
    path.unlink()
    with pytest.raises(AuditUnavailable, match="No such file"):
        log.opened("a", "vault", "x")
    log.close()


def test_a_journal_that_others_could_reach_is_not_opened(path: Path) -> None:
    _opened(path)
    path.chmod(0o644)
    with pytest.raises(AuditUnavailable, match="mode 0644") as caught:
        Journal(str(path))
    assert "chmod" in caught.value.hint


def test_a_read_only_folder_is_an_error() -> None:
    imports = "from brokerd.journal import Journal; from brokershim.errors import AuditUnavailable"
    code = """
import os
os.mkdir(folder + "/state", 0o700)
os.chmod(folder + "/state", 0o500)
try:
    Journal(folder + "/state/journal.jsonl")
except AuditUnavailable as error:
    print(error.kind, str(error).rpartition(": ")[2])
os.chmod(folder + "/state", 0o700)
Journal(folder + "/state/journal.jsonl").close()
"""
    with plain_folder() as folder:
        said = run_as_plain_user(imports, code, folder)
    assert said == "audit Permission denied\n"
