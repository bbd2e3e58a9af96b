"""A line is there whole, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brokerd.linefile import LineFile, unavailable
from brokershim.errors import InsecurePath
from tests.support.faults import broken, no_file_over


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lines"


@pytest.fixture
def file(path: Path) -> Iterator[LineFile]:
    file = LineFile(str(path))
    yield file
    file.close()


def test_lines_are_added_at_the_end_and_the_file_is_private(path: Path, file: LineFile) -> None:
    file.append(b"one\n")
    file.append(b"two\n")
    file.sync()
    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert file.size == 8


def test_half_a_line_is_taken_back_when_the_disk_is_full(path: Path, file: LineFile) -> None:
    file.append(b"one\n")
    with no_file_over(6), pytest.raises(OSError, match="No space") as caught:
        file.append(b"two\n")
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"one\n"
    file.append(b"three\n")
    assert path.read_bytes() == b"one\nthree\n"


def test_nothing_is_added_after_half_a_line_that_cannot_be_taken_back(
    path: Path, file: LineFile
) -> None:
    with broken("os.ftruncate"):
        with no_file_over(2), pytest.raises(OSError, match="Input/output"):
            file.append(b"one\n")
        with pytest.raises(OSError, match="Input/output"):
            file.append(b"two\n")
        assert path.read_bytes() == b"on"
    file.append(b"three\n")
    assert path.read_bytes() == b"three\n"


def test_lines_whose_sync_failed_are_taken_back(path: Path, file: LineFile) -> None:
    """The kernel may have dropped them, and would call the next sync a success."""
    file.append(b"one\n")
    file.sync()
    file.append(b"two\n")
    with broken("brokerd.linefile.sync_data"), pytest.raises(OSError, match="Input/output"):
        file.sync()
    file.append(b"three\n")
    file.sync()
    assert path.read_bytes() == b"one\nthree\n"


def test_a_torn_line_is_cut_off_at_open(path: Path) -> None:
    path.write_bytes(b"one\ntw")
    path.chmod(0o600)
    file = LineFile(str(path), keep=4)
    file.append(b"three\n")
    file.close()
    assert path.read_bytes() == b"one\nthree\n"


def _remove(path: Path) -> None:
    path.unlink()


def _replace(path: Path) -> None:
    copy = path.with_suffix(".copy")
    copy.write_bytes(path.read_bytes())
    copy.rename(path)


def _shorten(path: Path) -> None:
    os.truncate(path, 2)


def _write(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"forged\n")


@pytest.mark.parametrize("meddle", [_remove, _replace, _shorten, _write])
def test_a_file_that_another_changed_is_not_synced_nor_written(
    path: Path, file: LineFile, meddle: Callable[[Path], None]
) -> None:
    file.append(b"one\n")
    meddle(path)
    with pytest.raises(OSError, match=r"another program|No such file"):
        file.sync()
    with pytest.raises(OSError, match=r"another program|No such file"):
        file.append(b"two\n")
    assert not path.exists() or b"two" not in path.read_bytes()


def test_a_removed_file_that_is_put_back_is_used_again(path: Path, file: LineFile) -> None:
    file.append(b"one\n")
    file.sync()
    path.rename(path.with_suffix(".away"))
    file.append(b"two\n")
    with pytest.raises(FileNotFoundError):
        file.sync()
    path.with_suffix(".away").rename(path)
    file.append(b"three\n")
    file.sync()
    assert path.read_bytes() == b"one\nthree\n"


def test_a_closed_file_takes_nothing(path: Path, file: LineFile) -> None:
    file.close()
    file.close()
    other = os.open(path, os.O_RDWR)  # most likely the same number
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.append(b"one\n")
    os.close(other)
    assert path.read_bytes() == b""


def test_a_link_is_refused(path: Path) -> None:
    path.with_suffix(".real").touch(0o600)
    path.symlink_to(path.with_suffix(".real"))
    with pytest.raises(InsecurePath):
        LineFile(str(path))


def test_every_failure_becomes_one_error_with_a_hint() -> None:
    full = unavailable("the log", OSError(errno.ENOSPC, "No space left on device"))
    assert str(full) == "the log cannot be used: No space left on device"
    assert "disk space" in full.hint
    gone = unavailable("the log", FileNotFoundError(errno.ENOENT, "No such file", "/x/head"))
    assert str(gone) == "the log cannot be used: /x/head: No such file"
    assert "put the file back" in gone.hint
    loose = unavailable("the log", InsecurePath("/x has mode 0644", hint="chmod 0600 /x"))
    assert (str(loose), loose.hint) == ("/x has mode 0644", "chmod 0600 /x")
    busy = unavailable("the log", BlockingIOError(errno.EAGAIN, "again"))
    assert str(busy) == "another process has the log open"
    assert "daemon stop" in busy.hint
