"""Claims 23 and 24: someone edits the log afterwards, or sees to it that nothing can be written."""

from __future__ import annotations

import ctypes
import functools
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from brokerd.audit.line import START, AuditHead, seal
from brokershim.errors import BrokerError
from tests.security.scene import KEY, SECRET, Scene, lease, new_scene, refusal
from tests.support.daemon import (
    PLAIN_UID,
    World,
    plain_path,
    plain_python,
    started_as_plain_user,
    wait_until,
)

Edit = Callable[[list[bytes]], list[bytes]]


def _forge(lines: list[bytes]) -> list[bytes]:
    """Change a fact, and nothing else."""
    return [each.replace(b'"openai/dev"', b'"openai/xyz"') for each in lines]


def _rename(lines: list[bytes]) -> list[bytes]:
    """Turn a lease into something harmless, with a hash that fits the new line."""
    at = next(n for n, each in enumerate(lines) if b"lease.acquired" in each)
    event = json.loads(lines[at])
    before = AuditHead(event["seq"] - 1, event["prev"])
    line, _ = seal(before, 1_700_000_000.0, "daemon.started", {})
    return [*lines[:at], line.rstrip(b"\n"), *lines[at + 1 :]]


EDITS: dict[str, Edit] = {
    "a fact": _forge,
    "an event": _rename,
    "the first line removed": lambda lines: lines[1:],
    "a line in the middle removed": lambda lines: [*lines[:3], *lines[4:]],
    "the last line removed": lambda lines: lines[:-1],
    "all lines removed": lambda _: [],
    "two lines swapped": lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]],
    "a line twice": lambda lines: [*lines[:3], lines[2], *lines[3:]],
    "a line added": lambda lines: [*lines, lines[-1]],
    "a line of one's own": lambda lines: [*lines, b'{"seq":99,"event":"made up"}'],
    "a space added": lambda lines: [lines[0] + b" ", *lines[1:]],
}


def _brokerctl(world: World, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the daemon's user."""
    start = (
        f"import sys; sys.path[:0] = {plain_path()!r}; "
        "from brokerctl.main import main; sys.exit(main(sys.argv[1:]))"
    )
    return subprocess.run(
        [*plain_python(), "-c", start, *arguments],
        env=world.environ, cwd="/", user=PLAIN_UID, group=PLAIN_UID, extra_groups=[],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def _is_noted(log: Path) -> bool:
    """Return whether the anchor names the last line."""
    noted = int((log.parent / "head").read_text().split()[0])
    return noted == len(log.read_bytes().splitlines())


@pytest.fixture
def log(own_scene: Scene) -> Path:
    """A log with a lease in it, to which nothing is added meanwhile."""
    own_scene.world.grant(SECRET)
    assert lease(own_scene.session()) == KEY
    # The daemon notes the new policy within a second; then it writes no more by itself.
    changes = functools.partial(own_scene.world.events, "policy.changed")
    wait_until(lambda: [each["grants"] for each in changes()][-1:] == [1])
    log = own_scene.world.state / "audit" / "audit-000001.jsonl"
    wait_until(lambda: _is_noted(log))  # a line is there before it is synced and noted
    return log


@pytest.mark.parametrize("daemon_runs", [True, False])
def test_claim_23_an_edited_log_is_found_out(
    own_scene: Scene, log: Path, daemon_runs: bool
) -> None:
    world = own_scene.world if daemon_runs else _copy(own_scene.world)
    path = world.state / "audit" / log.name
    lines = path.read_bytes().splitlines()
    assert any(b"lease.acquired" in each for each in lines)
    for name, edit in {"nothing": list, **EDITS}.items():
        path.write_bytes(b"".join(each + b"\n" for each in edit(lines)))
        done = _brokerctl(world, "audit", "verify")
        path.write_bytes(b"".join(each + b"\n" for each in lines))
        assert done.returncode == (0 if name == "nothing" else 1), (name, done)
        assert done.stdout.count("NOT WHOLE") == done.returncode


def test_claim_23_a_removed_file_is_found_out(own_scene: Scene, log: Path) -> None:
    for path in (log, log.with_name("head")):
        moved = path.rename(own_scene.world.state / "moved")
        done = _brokerctl(own_scene.world, "audit", "verify")
        moved.rename(path)
        assert done.returncode == 1, done


def test_claim_23_a_log_that_was_rewritten_whole_is_found_by_a_head_that_was_noted(
    own_scene: Scene, log: Path
) -> None:
    """Who rewrites all of it, the anchor too, with no daemon running, is found so, and only so."""
    noted = (
        _brokerctl(own_scene.world, "audit", "verify").stdout.rpartition("its end is ")[2].strip()
    )
    world = _copy(own_scene.world)
    folder = world.state / "audit"
    events = [json.loads(line) for line in (folder / log.name).read_bytes().splitlines()]
    kept = [each for each in events if each["event"] != "lease.acquired"]
    _rewrite(folder, kept)
    assert _brokerctl(world, "audit", "verify").returncode == 0
    done = _brokerctl(world, "audit", "verify", "--head", noted)
    assert done.returncode == 1
    assert "the note" in done.stdout or "the daemon" in done.stdout


def _rewrite(folder: Path, events: list[dict[str, object]]) -> None:
    head, lines = START, b""
    for each in events:
        own = {k: v for k, v in each.items() if k not in ("seq", "time", "event", "prev", "hash")}
        line, head = seal(head, 1_700_000_000.0, str(each["event"]), own)  # type: ignore[arg-type]
        lines += line
    (folder / "audit-000001.jsonl").write_bytes(lines)
    (folder / "head").write_bytes(b"%020d %b\n" % (head.seq, head.hash.encode()))


def _copy(world: World) -> World:
    """Return a copy of a world's folders, where no daemon runs."""
    folder = world.root / "copy"
    folder.mkdir()
    made = World(folder, world.uid)
    shutil.copytree(world.state, made.state)
    for path in (made.state, *made.state.rglob("*")):
        os.chown(path, world.uid, -1)
    return made


# 24. No event, no key


@contextmanager
def _small_disk(folder: Path) -> Generator[None]:
    """Put a folder, with what is in it, on a disk of its own that a program can fill."""
    libc = ctypes.CDLL(None, use_errno=True)
    aside = folder.with_name("aside")
    shutil.copytree(folder, aside)
    where = os.fsencode(folder)
    assert libc.mount(b"small", where, b"tmpfs", 0, b"size=256k,mode=700") == 0
    try:
        shutil.copytree(aside, folder, dirs_exist_ok=True)
        for path in (folder, *folder.rglob("*")):
            os.chown(path, PLAIN_UID, -1)
        yield
    finally:
        assert libc.umount2(where, 2) == 0


def test_claim_24_on_a_full_disk_nothing_is_leased(own_scene: Scene) -> None:
    """The attacker fills the disk, so that what comes next leaves no trace."""
    own_scene.world.grant(SECRET)
    audit = own_scene.world.state / "audit"
    own_scene.daemon.stop()
    with _small_disk(audit), _again(own_scene) as scene:
        root = scene.session()
        assert lease(root) == KEY
        filler = scene.enter()
        filler.do(
            "with open(given['at'], 'wb', 0) as file:\n"
            "    try:\n"
            "        while True: file.write(bytes(1024))\n"
            "    except OSError: pass\n"
            "with open(given['at'] + '2', 'wb', 0) as file:\n"
            "    try:\n"
            "        while True: file.write(b'x')\n"
            "    except OSError: pass",
            at=str(audit / "filler"),
        )
        given = []
        with pytest.raises(BrokerError) as refused:  # what is left of a page may hold a few events
            given = [lease(root) for _ in range(40)]
        assert refused.value.kind == "audit"
        assert given == []
        for _ in range(3):
            assert refusal(root) == "audit"
        with pytest.raises(BrokerError):
            scene.owner.call("secret.set", name=SECRET, value=KEY)
        filler.do("os.unlink(given['at']); os.unlink(given['at'] + '2')", at=str(audit / "filler"))
        assert lease(root) == KEY  # the hole is no end: it goes on by itself
        leased = scene.world.events("lease.acquired")
        assert len(leased) == len({each["lease"] for each in leased})
        assert _brokerctl(scene.world, "audit", "verify").returncode == 0


@contextmanager
def _again(scene: Scene) -> Generator[Scene]:
    with started_as_plain_user(scene.world) as daemon, new_scene(daemon) as made:
        made.world.grant(SECRET)
        yield made


@pytest.mark.parametrize("attack", ["removed", "replaced", "cut", "lengthened", "the anchor"])
def test_claim_24_a_log_that_is_not_the_daemons_any_more_gives_no_key(
    own_scene: Scene, attack: str
) -> None:
    own_scene.world.grant(SECRET)
    root, attacker = own_scene.session(), own_scene.enter()
    assert lease(root) == KEY
    attacker.do(
        "log, attack = given['at'] + '/audit-000001.jsonl', given['attack']\n"
        "data = open(log, 'rb').read()\n"
        "if attack == 'removed': os.unlink(log)\n"
        "if attack == 'replaced': os.unlink(log); open(log, 'wb').write(data)\n"
        "if attack == 'cut': os.truncate(log, len(data) // 2)\n"
        "if attack == 'lengthened': open(log, 'ab').write(b'{}\\n')\n"
        "if attack == 'the anchor': os.unlink(given['at'] + '/head')",
        at=str(own_scene.world.state / "audit"), attack=attack,
    )  # fmt: skip
    assert refusal(root) == "audit"
    own_scene.daemon.abandon()


def test_claim_24_every_key_that_went_out_is_in_the_log(scene: Scene) -> None:
    """Of ten processes that ask at the same time."""
    scene.world.grant(SECRET)
    before = len(scene.world.events("lease.acquired"))
    roots = [scene.session() for _ in range(10)]
    ask = "leases = [call('lease.acquire', {'secret': 'openai/dev'}) for n in range(5)]"
    for root in roots:
        root.begin(ask)
    for root in roots:
        root.finish()
    given = {each for root in roots for each in root.get("[each['lease'] for each in leases]")}
    written = scene.world.events("lease.acquired")[before:]
    assert {each["lease"] for each in written} == given
    assert len(given) == 50
