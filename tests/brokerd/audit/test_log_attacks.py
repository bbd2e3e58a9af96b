"""Whoever takes the log away, or could reach it, makes it an error and gets nothing written."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from brokerd.audit import AuditLog
from brokerd.audit.verify import verify
from brokershim.errors import AuditUnavailable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "audit"


def test_a_file_planted_where_the_next_one_goes_is_not_written_to(folder: Path) -> None:
    log = AuditLog(str(folder), max_bytes=10)
    log.append("first")
    planted = folder / "audit-000002.jsonl"
    planted.write_bytes(b"mine\n")
    planted.chmod(0o600)
    with pytest.raises(AuditUnavailable, match="another program made"):
        log.append("lost")
    planted.unlink()
    planted.symlink_to(folder / "head")
    with pytest.raises(AuditUnavailable, match="symbolic link"):
        log.append("lost")
    planted.unlink()
    log.append("second")
    log.close()
    assert verify(str(folder)).problems == ()


def _remove_file(folder: Path) -> None:
    (folder / "audit-000001.jsonl").unlink()


def _replace_file(folder: Path) -> None:
    copy = folder / "copy"
    copy.write_bytes((folder / "audit-000001.jsonl").read_bytes())
    copy.replace(folder / "audit-000001.jsonl")


def _remove_anchor(folder: Path) -> None:
    (folder / "head").unlink()


def _move_folder(folder: Path) -> None:
    folder.rename(folder.with_name("away"))


@pytest.mark.parametrize("meddle", [_remove_file, _replace_file, _remove_anchor, _move_folder])
def test_a_log_that_was_taken_away_is_an_error(
    folder: Path, meddle: Callable[[Path], None]
) -> None:
    log = AuditLog(str(folder))
    log.append("one")
    meddle(folder)
    with pytest.raises(AuditUnavailable):
        log.sync()
    log.close()


def _loosen_folder(folder: Path) -> None:
    folder.chmod(0o755)


def _loosen_file(folder: Path) -> None:
    (folder / "audit-000001.jsonl").chmod(0o644)


def _loosen_anchor(folder: Path) -> None:
    (folder / "head").chmod(0o620)


def _link_file(folder: Path) -> None:
    real = folder.parent / "real"
    (folder / "audit-000001.jsonl").rename(real)
    (folder / "audit-000001.jsonl").symlink_to(real)


def _link_folder(folder: Path) -> None:
    folder.rename(folder.with_name("real"))
    folder.symlink_to(folder.with_name("real"))


def _pipe(folder: Path) -> None:
    (folder / "audit-000001.jsonl").unlink()
    os.mkfifo(folder / "audit-000001.jsonl", 0o600)


@pytest.mark.parametrize(
    "meddle", [_loosen_folder, _loosen_file, _loosen_anchor, _link_file, _link_folder, _pipe]
)
def test_a_log_that_others_could_reach_is_not_opened(
    folder: Path, meddle: Callable[[Path], None]
) -> None:
    AuditLog(str(folder)).close()
    meddle(folder)
    with pytest.raises(AuditUnavailable) as caught:
        AuditLog(str(folder))
    assert "chmod" in caught.value.hint
