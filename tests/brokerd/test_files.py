"""A file is replaced whole, or not at all."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from brokerd.files import atomic_write
from brokerd.linefile import sync_data, sync_folder
from tests.support.faults import broken, no_file_over


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_a_file_is_made_private(path: Path) -> None:
    before = os.umask(0)
    try:
        atomic_write(str(path), b"data")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"data"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_is_replaced_with_its_mode(path: Path) -> None:
    path.write_bytes(b"old and longer")
    path.chmod(0o644)
    atomic_write(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_in_the_working_folder_needs_no_path(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    atomic_write("file", b"data")
    assert path.read_bytes() == b"data"


def test_a_link_is_replaced_and_not_followed(path: Path) -> None:
    target = path.with_name("target")
    target.write_bytes(b"precious")
    path.symlink_to(target)
    atomic_write(str(path), b"new")
    assert not path.is_symlink()
    assert target.read_bytes() == b"precious"


def test_data_is_on_disk_before_the_name_and_the_name_before_the_return(path: Path) -> None:
    done: list[str] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            done.append(name)
            return real(*args)

        return call

    with (
        mock.patch("os.write", noted("write", os.write)),
        mock.patch("os.rename", noted("rename", os.rename)),
        mock.patch("brokerd.files.sync_data", noted("sync data", sync_data)),
        mock.patch("brokerd.files.sync_folder", noted("sync folder", sync_folder)),
    ):
        atomic_write(str(path), b"data")
    assert done == ["write", "sync data", "rename", "sync folder"]


def test_what_the_kernel_takes_in_parts_arrives_whole(path: Path) -> None:
    real = os.write

    def write(fd: int, data: bytes) -> int:
        return real(fd, data[:3])

    with mock.patch("os.write", write):
        atomic_write(str(path), b"0123456789")
    assert path.read_bytes() == b"0123456789"


@pytest.mark.parametrize("step", ["os.write", "brokerd.files.sync_data", "os.rename"])
def test_a_failure_leaves_the_old_file_and_nothing_else(path: Path, step: str) -> None:
    path.write_bytes(b"old")
    with broken(step), pytest.raises(OSError, match="Input/output"):
        atomic_write(str(path), b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["file"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(path: Path) -> None:
    path.write_bytes(b"old")
    with no_file_over(5), pytest.raises(OSError, match="File too large"):
        atomic_write(str(path), b"much too long")
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["file"]


def test_no_descriptor_is_left_open(path: Path) -> None:
    before = os.listdir("/dev/fd")
    atomic_write(str(path), b"data")
    with broken("os.rename"), pytest.raises(OSError, match="Input/output"):
        atomic_write(str(path), b"data")
    assert os.listdir("/dev/fd") == before


def test_what_a_crash_left_is_removed(path: Path) -> None:
    left = path.with_name(".file.0123.tmp")
    left.write_bytes(b"half")
    atomic_write(str(path), b"data")
    assert os.listdir(path.parent) == ["file"]


def test_what_somebody_still_writes_is_not_removed(path: Path) -> None:
    living = path.with_name(".file.4567.tmp")
    with living.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        atomic_write(str(path), b"data")
        assert living.exists()
    atomic_write(str(path), b"data")
    assert not living.exists()


def test_two_writers_do_not_remove_each_others_work(path: Path) -> None:
    def write_meanwhile(fd: int) -> None:
        with mock.patch("brokerd.files.sync_data", sync_data):
            atomic_write(str(path), b"meanwhile")
        sync_data(fd)

    with mock.patch("brokerd.files.sync_data", write_meanwhile):
        atomic_write(str(path), b"last")
    assert path.read_bytes() == b"last"
    assert os.listdir(path.parent) == ["file"]


@pytest.mark.parametrize("name", [".files.1.tmp", ".file.1.tmp.keep", "file.1.tmp", "file.tmp"])
def test_what_looks_alike_is_not_removed(path: Path, name: str) -> None:
    path.with_name(name).write_bytes(b"keep")
    atomic_write(str(path), b"data")
    assert path.with_name(name).read_bytes() == b"keep"


def test_a_folder_that_is_not_there_is_an_error(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        atomic_write(str(path / "missing" / "file"), b"data")
