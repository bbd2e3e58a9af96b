"""Which files a token is read from, and which are refused: ours, and those of a pod's volume."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from brokerd.identities import tokenfile
from brokerd.identities.jwt import MAX_BYTES
from brokerd.identities.tokenfile import read_mounted, read_own
from brokershim.errors import IdentityUnavailable, InsecurePath
from tests.support.require import require_root

Read = Callable[[str], str]
both = pytest.mark.parametrize("read", [read_own, read_mounted])


def write(path: Path, text: str | bytes = "a.b.c", mode: int = 0o600) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return str(path)


@pytest.fixture
def mount(tmp_path: Path) -> Path:
    """Lay a token as the kubelet does: token -> ..data/token, ..data -> ..2026/."""
    folder = tmp_path / "tokens"
    (folder / "..2026").mkdir(parents=True)
    write(folder / "..2026" / "token", "first")
    (folder / "..data").symlink_to("..2026")
    (folder / "token").symlink_to("..data/token")
    return folder


@both
def test_it_returns_what_stands_there_without_the_space_around_it(
    tmp_path: Path, read: Read
) -> None:
    assert read(write(tmp_path / "token", "\n a.b.c \n\n")) == "a.b.c"


@both
def test_it_reads_anew_each_time(tmp_path: Path, read: Read) -> None:
    path = write(tmp_path / "token", "first")
    assert read(path) == "first"
    os.replace(write(tmp_path / "new", "second"), path)
    assert read(path) == "second"


@both
def test_where_there_is_none_the_path_is_named(tmp_path: Path, read: Read) -> None:
    path = str(tmp_path / "token")
    with pytest.raises(IdentityUnavailable, match=re.escape(path)):
        read(path)
    with pytest.raises(IdentityUnavailable, match="/etc/passwd/token"):
        read("/etc/passwd/token")


@both
@pytest.mark.parametrize("mode", [0o604, 0o602, 0o620, 0o644, 0o666])
def test_one_that_others_may_read_or_write_is_refused(
    tmp_path: Path, read: Read, mode: int
) -> None:
    path = write(tmp_path / "token", "e30.secret.c2ln", mode)
    with pytest.raises(InsecurePath, match=f"{mode:04o}") as refused:
        read(path)
    assert "secret" not in refused.value.message + refused.value.hint


@both
def test_a_named_pipe_does_not_hang_it(tmp_path: Path, read: Read) -> None:
    os.mkfifo(tmp_path / "token", 0o600)
    with pytest.raises(InsecurePath, match="not a regular file"):
        read(str(tmp_path / "token"))


@both
def test_a_folder_is_refused(tmp_path: Path, read: Read) -> None:
    (tmp_path / "token").mkdir(mode=0o700)
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(InsecurePath, match="not a regular file"):
        read(str(tmp_path / "token"))
    assert len(os.listdir("/dev/fd")) == before


@both
def test_one_that_is_too_long_is_not_read_to_its_end(tmp_path: Path, read: Read) -> None:
    path = write(tmp_path / "token")
    os.truncate(path, 1 << 40)
    with pytest.raises(InsecurePath, match=f"over {MAX_BYTES} bytes"):
        read(path)


@both
def test_what_is_no_text_is_refused_and_not_repeated(tmp_path: Path, read: Read) -> None:
    path = write(tmp_path / "token", b"e30.secret\xff.c2ln")
    with pytest.raises(IdentityUnavailable, match="is no token") as refused:
        read(path)
    assert refused.value.__suppress_context__
    assert refused.value.__cause__ is None


@both
def test_one_of_another_user_is_refused(tmp_path: Path, read: Read) -> None:
    require_root()
    path = write(tmp_path / "token")
    os.chown(path, 4242, -1)
    with pytest.raises(InsecurePath, match="belongs to uid 4242"):
        read(path)


def test_a_file_of_ours_may_not_be_open_to_its_group(tmp_path: Path) -> None:
    with pytest.raises(InsecurePath, match="0640"):
        read_own(write(tmp_path / "token", mode=0o640))


def test_a_file_of_ours_is_no_link(mount: Path) -> None:
    with pytest.raises(InsecurePath, match="symbolic link"):
        read_own(str(mount / "token"))


def test_a_volume_may_be_read_by_its_group(mount: Path) -> None:
    (mount / "..2026" / "token").chmod(0o640)
    assert read_mounted(str(mount / "token")) == "first"


def test_a_volume_is_followed_to_its_newest_token(mount: Path) -> None:
    assert read_mounted(str(mount / "token")) == "first"
    (mount / "..2027").mkdir()
    write(mount / "..2027" / "token", "second")
    (mount / "..new").symlink_to("..2027")
    os.replace(mount / "..new", mount / "..data")
    assert read_mounted(str(mount / "token")) == "second"


def test_a_token_that_goes_while_it_is_looked_for_is_looked_for_again(
    mount: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, looks = tokenfile._follow, []

    def follow(folder: str, name: str) -> str:
        looks.append(name)
        return real(folder, name) if len(looks) > 1 else str(mount / "..2025" / "token")

    monkeypatch.setattr(tokenfile, "_follow", follow)
    assert read_mounted(str(mount / "token")) == "first"


def test_a_volume_may_stand_behind_a_link_of_the_system(mount: Path, tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(mount)
    assert read_mounted(str(tmp_path / "run" / "token")) == "first"


@pytest.mark.parametrize("target", ["/etc/passwd", "../token", "..data/../../token", ".", "a//b"])
def test_a_link_out_of_the_volume_is_not_followed(mount: Path, tmp_path: Path, target: str) -> None:
    write(tmp_path / "token", "of somebody else")
    (mount / "token").unlink()
    (mount / "token").symlink_to(target)
    with pytest.raises(InsecurePath, match="leads out of its folder"):
        read_mounted(str(mount / "token"))


def test_links_in_a_ring_end(mount: Path) -> None:
    (mount / "..data").unlink()
    (mount / "..data").symlink_to("..other")
    (mount / "..other").symlink_to("..data")
    with pytest.raises(InsecurePath, match="nowhere"):
        read_mounted(str(mount / "token"))


@pytest.mark.parametrize("folder", [".", "..2026"])
def test_a_folder_on_the_way_that_others_may_write_is_refused(mount: Path, folder: str) -> None:
    (mount / folder).chmod(0o777)
    with pytest.raises(InsecurePath, match="0777"):
        read_mounted(str(mount / "token"))


def test_a_sticky_mount_is_as_the_kubelet_makes_it(mount: Path) -> None:
    mount.chmod(0o1777)
    assert read_mounted(str(mount / "token")) == "first"


@pytest.mark.parametrize("step", [".", "token", "..data", "..2026", "..2026/token"])
def test_each_step_on_the_way_has_to_be_ours_or_roots(mount: Path, step: str) -> None:
    require_root()
    os.chown(mount / step, 4242, -1, follow_symlinks=False)
    with pytest.raises(InsecurePath, match="belongs to uid 4242"):
        read_mounted(str(mount / "token"))


def test_the_hint_says_what_to_write_into_the_pod(mount: Path) -> None:
    (mount / "..2026" / "token").chmod(0o644)
    with pytest.raises(InsecurePath) as refused:
        read_mounted(str(mount / "token"))
    assert "`runAsUser`" in refused.value.hint
    assert "`fsGroup`" in refused.value.hint
