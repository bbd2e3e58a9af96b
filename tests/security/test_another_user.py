"""Claims 5 and 6: another user of the machine connects, or prepares the files."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from brokershim.errors import BrokerError, InsecurePath
from tests.security.scene import KEY, SECRET, STRANGER_UID, Scene, lease
from tests.support.daemon import Daemon, World, failure_to_start
from tests.support.stopped import stopped

_CONNECT = "s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(given['path'])"
_SEND = 's.sendall(b\'{"jsonrpc":"2.0","id":0,"method":"hello","params":{"protocol":1}}\\n\')'
_LISTEN = """
said, ending = b"", 0
try:
    while part := s.recv(65536):
        said += part
except OSError as error:
    ending = error.errno
"""


@pytest.fixture
def open_doors(scene: Scene) -> Iterator[Scene]:
    """Undo every mode that keeps others away from the socket: what is left is the daemon."""
    ways = [scene.world.root, scene.world.root / "run", scene.world.runtime]
    ways.append(Path(scene.world.socket))
    before = [stat.S_IMODE(each.stat().st_mode) for each in ways]
    for each in ways:
        each.chmod(0o777)
    yield scene
    for each, mode in zip(ways, before, strict=True):
        each.chmod(mode)


def test_claim_05_another_user_does_not_even_reach_the_socket(scene: Scene) -> None:
    stranger = scene.stranger()
    stranger.do(f"try:\n {_CONNECT}\nexcept OSError as error:\n n = error.errno", path=_path(scene))
    assert stranger.get("n") == errno.EACCES


def test_claim_05_another_user_who_says_nothing_is_refused_at_once(open_doors: Scene) -> None:
    """The refusal cannot depend on what was read: nothing was sent."""
    stranger = open_doors.stranger()
    stranger.do(_CONNECT, path=_path(open_doors))
    stranger.do(_LISTEN)
    assert "denied.foreign_user" in stranger.get("said.decode()")


@pytest.mark.parametrize("who", ["another user", "root"])
def test_claim_05_what_another_user_sends_is_not_read(open_doors: Scene, who: str) -> None:
    """A socket that is closed with bytes unread ends in ECONNRESET (unix(7)), otherwise it ends."""
    stage, daemon = open_doors.stage, open_doors.daemon
    stranger = open_doors.stranger() if who == "another user" else stage.enter()
    with stopped(daemon.pid):  # so that the bytes are there before it looks
        stranger.do(_CONNECT, path=_path(open_doors))
        stranger.do(_SEND)
    stranger.do(_LISTEN)
    assert "denied.foreign_user" in stranger.get("said.decode()")
    assert stranger.get("said.count(b'\\n')") == 1  # no answer to its hello
    assert stranger.get("ending") == errno.ECONNRESET


def test_claim_05_the_same_bytes_of_the_daemons_own_user_are_read(scene: Scene) -> None:
    """The control: without it, the tests above could pass for another reason."""
    own = scene.enter()
    own.do(_CONNECT, path=_path(scene))
    own.do(_SEND)
    assert '"protocol":1' in own.get("s.recv(65536).decode()")


def _loosen(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o022)


def _show(path: Path) -> None:
    path.chmod(path.stat().st_mode | 0o044)


def _give_away(path: Path) -> None:
    os.chown(path, STRANGER_UID, -1)


def _link(path: Path) -> None:
    path.symlink_to(path.rename(path.with_name("moved")))


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir(0o700)


Attack = Callable[[Path], None]
FOLDER: tuple[Attack, ...] = (_loosen, _show, _give_away, _link)
SETTINGS: tuple[Attack, ...] = (_loosen, _give_away, _link, _pipe, _folder)
PRIVATE: tuple[Attack, ...] = (*SETTINGS, _show)


@contextmanager
def _attacked(path: Path, attack: Attack) -> Generator[None]:
    """Attack a path, see that what stands there then is left alone, and put back what was."""
    saved = path.parent.parent / "saved"
    kept = path.stat()
    if path.is_file():
        shutil.copy2(path, saved)
    attack(path)
    before = _state_of(path)
    yield
    assert _state_of(path) == before, attack.__name__
    moved = path.with_name("moved")
    if path.is_symlink():
        path.unlink()
        moved.rename(path)
    elif path.is_dir() and saved.exists():
        path.rmdir()
    if saved.exists():
        saved.rename(path)
    os.chown(path, kept.st_uid, kept.st_gid)
    path.chmod(stat.S_IMODE(kept.st_mode))


def _state_of(path: Path) -> tuple[object, ...]:
    """Return all that is to stay: kind, mode, owner, number, target and content."""
    found = path.lstat()
    target = os.readlink(path) if path.is_symlink() else ""
    content = path.read_bytes() if stat.S_ISREG(path.stat().st_mode) else b""
    return found.st_mode, found.st_uid, found.st_ino, target, content


@pytest.mark.parametrize(
    ("name", "attacks"),
    {
        "run/brokerctl": FOLDER,
        "run/brokerctl/daemon.lock": (_loosen, _give_away, _link, _pipe),
        "state/brokerctl": FOLDER,
        "state/brokerctl/audit": FOLDER,
        "state/brokerctl/audit/head": PRIVATE,
        "state/brokerctl/audit/audit-000001.jsonl": PRIVATE,
        "state/brokerctl/journal.jsonl": PRIVATE,
        "config/brokerctl": FOLDER,
        "config/brokerctl/config.toml": SETTINGS,
    }.items(),
)
def test_claim_06_no_daemon_starts_on_what_others_could_change(
    daemon: Daemon, name: str, attacks: tuple[Attack, ...]
) -> None:
    daemon.stop()
    path = daemon.world.root / name
    for attack in attacks:
        with _attacked(path, attack):
            refused = failure_to_start(daemon.world)
        assert str(path) in refused.message or str(path.parent) in refused.message


def test_claim_06_a_link_in_the_sockets_place_is_not_followed(world: World, tmp_path: Path) -> None:
    """Otherwise the daemon would remove, or bind to, what somebody else chose."""
    world.runtime.mkdir(mode=0o700)
    target = tmp_path / "target"
    target.write_text("mine")
    Path(world.socket).symlink_to(target)
    assert isinstance(failure_to_start(world), InsecurePath)
    assert target.read_text() == "mine"
    assert Path(world.socket).is_symlink()


@pytest.mark.parametrize(
    ("name", "attacks"),
    {
        "config/brokerctl": FOLDER[:3],
        "config/brokerctl/policy.toml": SETTINGS,
        "state/brokerctl/secrets.sealed": PRIVATE,
    }.items(),
)
def test_claim_06_a_running_daemon_leases_nothing_from_what_others_could_change(
    scene: Scene, name: str, attacks: tuple[Attack, ...]
) -> None:
    scene.world.grant(SECRET)
    root = scene.session()
    for attack in attacks:
        assert lease(root) == KEY
        with _attacked(scene.world.root / name, attack), pytest.raises(BrokerError):
            lease(root)


def test_claim_06_a_project_file_that_others_could_change_is_not_read(scene: Scene) -> None:
    path = scene.world.project("app", OPENAI_API_KEY=SECRET)
    shown = scene.owner.call("project.show", path=str(path))
    scene.owner.call("project.allow", path=str(path), sha256=shown["sha256"])
    for attack in SETTINGS:
        scene.owner.call("session.open", program="/bin/true", env={}, project=str(path))
        with _attacked(path, attack), pytest.raises(BrokerError) as refused:
            scene.owner.call("session.open", program="/bin/true", env={}, project=str(path))
        assert refused.value.kind in ("denied.insecure_path", "usage.config")


def test_claim_06_a_socket_in_a_folder_of_another_user_is_not_spoken_to(scene: Scene) -> None:
    """A stranger's daemon would be told keys: by `brokerctl secret set`."""
    stranger, victim = scene.stranger(), scene.enter()
    folder = scene.world.root / "trap"
    folder.mkdir()
    os.chown(folder, STRANGER_UID, -1)
    stranger.do(
        "l = socket.socket(socket.AF_UNIX); l.bind(given['at']); l.listen(); l.settimeout(0.5)\n"
        "os.chmod(given['at'], 0o666)",
        at=str(folder / "broker.sock"),
    )
    with pytest.raises(InsecurePath):
        victim.do("Client(given['at'])", at=str(folder / "broker.sock"))
    stranger.do("try:\n l.accept()\n met = True\nexcept OSError:\n met = False")
    assert not stranger.get("met")


def _path(scene: Scene) -> str:
    return scene.world.socket
