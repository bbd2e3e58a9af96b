from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from brokerd.listener import Listener
from brokershim.errors import AlreadyRunning, InsecurePath
from tests.support.daemon import PLAIN_UID
from tests.support.require import require_root


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "brokerctl" / "broker.sock")


@pytest.fixture
def listener(path: str) -> Iterator[Listener]:
    made = Listener(path)
    yield made
    _end(made)


def _end(listener: Listener) -> None:
    listener.stop()
    listener.close()


def _stale(path: str) -> None:
    """Leave a socket that nobody listens on."""
    os.mkdir(os.path.dirname(path), 0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)


def _connects(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


def test_only_its_user_can_reach_it(listener: Listener) -> None:
    folder = os.stat(os.path.dirname(listener.path))
    found = os.lstat(listener.path)
    assert stat.S_IMODE(folder.st_mode) == 0o700
    assert stat.S_ISSOCK(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o600
    assert _connects(listener.path)
    assert not os.path.lexists(f"{listener.path}.new")


def test_nothing_of_it_is_inherited(listener: Listener) -> None:
    assert not listener.socket.get_inheritable()
    assert not os.get_inheritable(listener._lock)


def test_a_second_one_finds_the_first_and_leaves_it_alone(listener: Listener) -> None:
    before = os.lstat(listener.path).st_ino
    with pytest.raises(AlreadyRunning, match="runs already") as refused:
        Listener(listener.path)
    assert "daemon stop" in refused.value.hint
    assert os.lstat(listener.path).st_ino == before
    assert _connects(listener.path)


def test_a_closed_one_leaves_room_for_the_next(path: str) -> None:
    first = Listener(path)
    _end(first)
    assert not os.path.lexists(path)
    second = Listener(path)
    assert _connects(path)
    _end(second)


def test_one_that_stopped_keeps_others_out_until_it_is_closed(path: str) -> None:
    first = Listener(path)
    first.stop()
    assert not os.path.lexists(path)
    with pytest.raises(AlreadyRunning):
        Listener(path)
    first.close()
    _end(Listener(path))


def test_a_stale_socket_is_replaced(path: str) -> None:
    _stale(path)
    assert not _connects(path)
    listener = Listener(path)
    assert _connects(path)
    _end(listener)


def test_what_an_earlier_start_left_beside_it_is_replaced(path: str) -> None:
    _stale(f"{path}.new")
    listener = Listener(path)
    assert _connects(path)
    _end(listener)


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling link", "pipe"])
def test_what_is_no_socket_stays_where_it_is(path: str, tmp_path: Path, kind: str) -> None:
    os.mkdir(os.path.dirname(path), 0o700)
    elsewhere = tmp_path / "elsewhere"
    match kind:
        case "file":
            Path(path).write_text("mine")
        case "folder":
            os.mkdir(path)
        case "link":
            elsewhere.write_text("mine")
            os.symlink(elsewhere, path)
        case "dangling link":
            os.symlink(elsewhere, path)
        case _:
            os.mkfifo(path)
    before = os.lstat(path)
    with pytest.raises(InsecurePath, match="not a socket of yours"):
        Listener(path)
    assert os.lstat(path).st_ino == before.st_ino
    assert not os.path.lexists(f"{path}.new")


def test_a_socket_of_another_user_is_not_replaced(path: str) -> None:
    require_root()
    _stale(path)
    os.chown(path, PLAIN_UID, PLAIN_UID)
    with pytest.raises(InsecurePath, match="not a socket of yours"):
        Listener(path)


def test_a_refused_start_lets_go_of_the_lock(path: str) -> None:
    os.mkdir(os.path.dirname(path), 0o700)
    Path(path).write_text("mine")
    with pytest.raises(InsecurePath):
        Listener(path)
    os.unlink(path)
    _end(Listener(path))


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o770, 0o701])
def test_a_loose_folder_is_refused(path: str, mode: int) -> None:
    os.mkdir(os.path.dirname(path))
    os.chmod(os.path.dirname(path), mode)
    with pytest.raises(InsecurePath, match="open to others") as refused:
        Listener(path)
    assert refused.value.hint.startswith("chmod 0700 ")


def test_a_folder_of_another_user_is_refused(path: str) -> None:
    require_root()
    os.mkdir(os.path.dirname(path), 0o700)
    os.chown(os.path.dirname(path), PLAIN_UID, PLAIN_UID)
    with pytest.raises(InsecurePath, match=f"belongs to uid {PLAIN_UID}"):
        Listener(path)


def test_a_folder_that_is_a_link_is_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    os.symlink(tmp_path / "elsewhere", os.path.dirname(path))
    with pytest.raises(InsecurePath, match="a link is refused"):
        Listener(path)


@pytest.mark.parametrize("target", ["there", "missing"])
def test_a_lock_that_is_a_link_is_refused(path: str, tmp_path: Path, target: str) -> None:
    """Else the daemon would make, or lock, whatever file of ours somebody chose."""
    os.mkdir(os.path.dirname(path), 0o700)
    elsewhere = tmp_path / target
    if target == "there":
        elsewhere.touch(0o600)
    os.symlink(elsewhere, os.path.join(os.path.dirname(path), "daemon.lock"))
    with pytest.raises(InsecurePath, match="symbolic link"):
        Listener(path)
    assert elsewhere.exists() == (target == "there")


def test_a_lock_that_is_a_pipe_holds_nobody_up(path: str) -> None:
    os.mkdir(os.path.dirname(path), 0o700)
    os.mkfifo(os.path.join(os.path.dirname(path), "daemon.lock"), 0o600)
    with pytest.raises(InsecurePath, match="not a regular file"):
        Listener(path)


def test_it_knows_when_its_socket_is_gone_or_anothers(listener: Listener) -> None:
    assert listener.is_ours()
    os.unlink(listener.path)
    assert not listener.is_ours()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(listener.path)
        assert not listener.is_ours()


def test_it_does_not_take_anothers_socket_away(path: str) -> None:
    listener = Listener(path)
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        _end(listener)
        assert os.path.lexists(path)


def test_a_path_longer_than_an_address(tmp_path: Path) -> None:
    path = str(tmp_path / ("x" * 120) / "broker.sock")
    listener = Listener(path)
    assert os.lstat(path).st_ino == os.stat(path).st_ino
    assert listener.is_ours()
    _end(listener)
    assert not os.path.lexists(path)
