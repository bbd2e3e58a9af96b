"""Whose is a file, and who else may touch it?"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brokershim.errors import InsecurePath
from brokershim.ownership import (
    OTHERS_WRITE,
    check_private_dir,
    make_private_dir,
    open_private,
    read_private,
)
from tests.support.require import require_root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def file(folder: Path) -> Path:
    path = folder / "file"
    path.write_bytes(b"hello")
    path.chmod(0o600)
    return path


def test_folder_is_made_private_with_its_parents(folder: Path) -> None:
    old = os.umask(0)
    try:
        make_private_dir(str(folder / "a" / "b" / "c"))
    finally:
        os.umask(old)
    for part in ("a", "a/b", "a/b/c"):
        assert (folder / part).stat().st_mode & 0o777 == 0o700


def test_folder_that_is_there_is_checked(folder: Path) -> None:
    make_private_dir(str(folder))
    folder.chmod(0o750)
    with pytest.raises(InsecurePath, match="mode 0750") as refused:
        make_private_dir(str(folder))
    assert refused.value.hint == f"chmod 0700 {folder}"
    assert folder.stat().st_mode & 0o777 == 0o750, "not tightened: others may be inside by now"


@pytest.mark.parametrize("mode", [0o701, 0o710, 0o704, 0o777])
def test_folder_open_to_others_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(InsecurePath, match=f"{mode:04o}"):
        check_private_dir(str(folder))


def test_link_to_a_folder_is_refused(folder: Path) -> None:
    (folder / "real").mkdir(mode=0o700)
    (folder / "link").symlink_to("real")
    with pytest.raises(InsecurePath, match="link"):
        check_private_dir(str(folder / "link"))
    with pytest.raises(InsecurePath, match="link"):
        make_private_dir(str(folder / "link"))


def test_file_in_a_folders_place_is_refused(file: Path) -> None:
    with pytest.raises(InsecurePath, match="not a folder"):
        check_private_dir(str(file))


def test_foreign_folder_and_file_are_refused(folder: Path, file: Path) -> None:
    require_root()
    os.chown(file, 12345, -1)
    with pytest.raises(InsecurePath, match="uid 12345"):
        open_private(str(file))
    os.chown(folder, 12345, -1)
    with pytest.raises(InsecurePath, match="uid 12345"):
        check_private_dir(str(folder))


def test_private_file_is_read(file: Path) -> None:
    assert read_private(str(file), 5) == b"hello"


def test_missing_file_is_none(folder: Path) -> None:
    assert read_private(str(folder / "none"), 5) is None


def test_file_over_the_limit_is_refused(file: Path) -> None:
    with pytest.raises(InsecurePath, match="over 4 bytes"):
        read_private(str(file), 4)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o622])
def test_loose_file_is_refused_with_the_command_that_mends_it(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(InsecurePath) as refused:
        read_private(str(file), 5)
    assert refused.value.hint == f"chmod 0600 {file}"


def test_readable_file_passes_where_only_writing_is_forbidden(file: Path) -> None:
    file.chmod(0o644)
    assert read_private(str(file), 5, forbidden=OTHERS_WRITE) == b"hello"
    file.chmod(0o664)
    with pytest.raises(InsecurePath, match="0664"):
        read_private(str(file), 5, forbidden=OTHERS_WRITE)


def test_link_to_a_file_is_refused_even_a_dangling_one(folder: Path, file: Path) -> None:
    (folder / "link").symlink_to(file)
    (folder / "dangling").symlink_to("nowhere")
    for name in ("link", "dangling"):
        with pytest.raises(InsecurePath, match="symbolic link"):
            read_private(str(folder / name), 5)


def test_named_pipe_is_refused_without_waiting_for_a_writer(folder: Path) -> None:
    os.mkfifo(folder / "pipe", 0o600)
    with pytest.raises(InsecurePath, match="not a regular file"):
        open_private(str(folder / "pipe"))


def test_folder_in_a_files_place_is_refused(folder: Path) -> None:
    (folder / "sub").mkdir(mode=0o700)
    with pytest.raises(InsecurePath, match="not a regular file"):
        open_private(str(folder / "sub"))


def test_new_file_is_private_whatever_the_umask(folder: Path) -> None:
    old = os.umask(0)
    try:
        os.close(open_private(str(folder / "new"), os.O_WRONLY | os.O_CREAT))
    finally:
        os.umask(old)
    assert (folder / "new").stat().st_mode & 0o777 == 0o600


def test_refusal_leaves_no_descriptor_open(folder: Path, file: Path) -> None:
    file.chmod(0o644)
    before = os.listdir("/dev/fd")
    for name in ("file", "none"):
        with pytest.raises((InsecurePath, FileNotFoundError)):
            open_private(str(folder / name))
    assert len(os.listdir("/dev/fd")) == len(before)
