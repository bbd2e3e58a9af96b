"""What was opened upstream and not closed is known after every kind of end."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import pytest

from brokerd import journal
from brokerd.journal import Journal, JournalEntry
from brokershim.errors import AuditUnavailable
from tests.support.steps import killed_at

CHILD = "tests.brokerd.journaling_child"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.jsonl"


def _entries(path: Path) -> list[JournalEntry]:
    """Return what the next daemon would find."""
    found = Journal(str(path))
    found.close()
    return found.pending()


def _pending(path: Path) -> list[str]:
    return [entry.lease for entry in _entries(path)]


def test_what_is_opened_is_pending_until_it_is_closed(path: Path) -> None:
    log = Journal(str(path))
    log.opened("a", "vault", "aws/creds/a")
    log.opened("b", "aws", "sts/b")
    entries = [JournalEntry("a", "vault", "aws/creds/a"), JournalEntry("b", "aws", "sts/b")]
    assert log.pending() == entries
    log.closed("a")
    assert log.pending() == entries[1:]
    log.close()
    again = Journal(str(path))
    assert again.pending() == entries[1:]
    again.close()


def test_the_file_is_private_and_as_documented(path: Path) -> None:
    log = Journal(str(path))
    log.opened("a", "vault", "x")
    log.closed("a")
    log.close()
    opened, closed = (json.loads(line) for line in path.read_text().splitlines())
    assert {**opened, "crc": ""} == {"lease": "a", "backend": "vault", "upstream": "x", "crc": ""}
    assert {**closed, "crc": ""} == {"closed": "a", "crc": ""}
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_key_may_go_out_only_after_the_line_is_on_disk(path: Path) -> None:
    log = Journal(str(path))
    seen: list[bytes] = []

    def sync(_fd: int) -> None:
        seen.append(path.read_bytes())

    with mock.patch("brokerd.linefile.sync_data", sync):
        log.opened("a", "vault", "x")
    assert seen == [path.read_bytes()]
    assert b'"lease":"a"' in seen[0]
    log.close()


def test_closing_what_is_not_open_is_no_error(path: Path) -> None:
    log = Journal(str(path))
    log.closed("never")
    log.close()
    assert path.read_bytes() == b""


def test_a_lease_is_opened_once(path: Path) -> None:
    log = Journal(str(path))
    log.opened("a", "vault", "first")
    with pytest.raises(ValueError, match="already"):
        log.opened("a", "vault", "second")
    log.close()


def test_what_is_known_better_takes_the_place_of_what_was_known(path: Path) -> None:
    log = Journal(str(path))
    log.opened("a", "vault", "accessor/1")
    log.opened("b", "vault", "accessor/1")
    log.amended("a", "lease/a")
    entries = [JournalEntry("a", "vault", "lease/a"), JournalEntry("b", "vault", "accessor/1")]
    assert log.pending() == entries
    assert (log.holds("a"), log.holds("c")) == (True, False)
    log.close()
    again = Journal(str(path))
    assert again.pending() == entries
    again.closed("a")
    again.close()
    assert _pending(path) == ["b"]


def test_only_what_is_open_can_be_amended(path: Path) -> None:
    log = Journal(str(path))
    log.opened("a", "vault", "x")
    log.closed("a")
    with pytest.raises(KeyError):
        log.amended("a", "y")
    log.close()
    assert _pending(path) == []


def test_any_text_can_be_an_id_but_not_one_without_end(path: Path) -> None:
    log = Journal(str(path))
    log.opened("a", "vault", "\ud800\n\x00🔑")
    with pytest.raises(AuditUnavailable, match="over 16384 bytes"):
        log.opened("b", "vault", "x" * 20_000)
    log.close()
    again = Journal(str(path))
    assert again.pending() == [JournalEntry("a", "vault", "\ud800\n\x00🔑")]
    again.close()


def test_the_journal_does_not_grow_with_what_is_closed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_COMPACT_LINES", 10)
    monkeypatch.setattr("brokerd.linefile.sync_data", mock.Mock())
    log = Journal(str(path))
    log.opened("kept", "vault", "risk")
    log.amended("kept", "x")
    for number in range(100):
        log.opened(str(number), "vault", "y")
        log.closed(str(number))
        assert len(path.read_bytes().splitlines()) <= 12
    log.close()
    assert _entries(path) == [JournalEntry("kept", "vault", "x")]


def test_what_is_closed_is_dropped_at_the_next_start(path: Path) -> None:
    log = Journal(str(path))
    log.opened("a", "vault", "x")
    log.opened("b", "vault", "y")
    log.closed("a")
    log.close()
    assert _pending(path) == ["b"]
    assert len(path.read_bytes().splitlines()) == 1


@pytest.mark.parametrize(
    ("step", "pending"),
    [
        ("half of opened written", ["upstream/before"]),
        ("opened written", ["upstream/before", "risk/during"]),
        ("opened synced", ["upstream/before", "risk/during"]),
        ("half of amended written", ["upstream/before", "risk/during"]),
        ("amended written", ["upstream/before", "upstream/during"]),
        ("amended synced", ["upstream/before", "upstream/during"]),
        ("key given out", ["upstream/before", "upstream/during"]),
        ("revoked upstream", ["upstream/before", "upstream/during"]),
        ("half of closed written", ["upstream/before", "upstream/during"]),
        ("closed", ["upstream/before"]),
        ("compaction written", ["upstream/before"]),
        ("compaction renamed", ["upstream/before"]),
        ("compacted", ["upstream/before", "upstream/later"]),
    ],
)
def test_a_kill_at_each_step_leaves_exactly_what_is_open(
    path: Path, step: str, pending: list[str]
) -> None:
    killed_at(step, CHILD, str(path))
    found = _entries(path)
    assert [entry.upstream for entry in found] == pending
    assert _entries(path) == found  # the first look has changed nothing
