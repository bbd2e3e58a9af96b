"""What on the way to a file could somebody else change? Tried with real files and links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brokerd.tampering import open_to_others
from tests.support.daemon import PLAIN_UID
from tests.support.require import require_root


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "file").touch(0o600)
    return folder / "file"


def test_what_is_ours_alone_is_not_open(file: Path) -> None:
    assert open_to_others(str(file)) is None
    assert open_to_others("/bin/sh") is None


@pytest.mark.parametrize("mode", [0o777, 0o757])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_each_folder_on_the_way_counts_and_the_file(file: Path, which: int, mode: int) -> None:
    loose = [file, *file.parents][which]
    loose.chmod(mode)
    assert open_to_others(str(file)) == str(loose)


def test_a_group_that_may_write_is_somebody_else(file: Path) -> None:
    file.chmod(0o660)
    assert open_to_others(str(file)) == str(file)


def test_in_a_sticky_folder_each_has_their_own(file: Path) -> None:
    file.parent.chmod(0o1777)
    assert open_to_others(str(file)) is None


@pytest.mark.parametrize("relative", [False, True])
def test_links_are_followed_and_where_they_stand_counts(
    file: Path, tmp_path: Path, *, relative: bool
) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "link"
    link.symlink_to("../a/b/file" if relative else file)
    assert open_to_others(str(link)) is None
    file.parent.chmod(0o777)
    assert open_to_others(str(link)) == str(file.parent)
    file.parent.chmod(0o700)
    link.parent.chmod(0o777)
    assert open_to_others(str(link)) == str(link.parent)


@pytest.mark.parametrize("which", ["file", "folder", "link"])
def test_what_belongs_to_another_user_is_theirs_to_change(
    file: Path, tmp_path: Path, which: str
) -> None:
    require_root()
    link = tmp_path / "link"
    link.symlink_to(file)
    theirs = {"file": file, "folder": file.parent, "link": link}[which]
    os.chown(theirs, PLAIN_UID, -1, follow_symlinks=False)
    assert open_to_others(str(link)) == str(theirs)


def test_what_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for name in ("loop", "gone", "gone/file"):
        with pytest.raises(OSError, match=r"(?i)too many|no such file"):
            open_to_others(str(tmp_path / name))
