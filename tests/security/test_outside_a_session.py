"""Claims 7 to 13: other processes of the same user, with all that they can copy of a session."""

from __future__ import annotations

import os
import signal
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from brokershim.errors import BrokerError, DaemonUnreachable, ProjectNotAllowed
from tests.security.scene import (
    KEY,
    SECRET,
    Scene,
    child_of,
    fork_with_pid,
    label,
    lease,
    refusal,
)
from tests.support.daemon import wait_until
from tests.support.puppet import Puppet
from tests.support.require import require_writable

_HOLDER = """
from brokershim.errors import BrokerError
from brokershim.holder import Holder
try:
    kind = "got " + Holder().get(given["secret"]).name
except BrokerError as error:
    kind = error.kind
"""
_PIDFD_GETFD = 438
_STEAL = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
stolen = libc.syscall({_PIDFD_GETFD}, os.pidfd_open(given["pid"]), given["fd"], 0)
assert stolen >= 0, os.strerror(ctypes.get_errno())
door = socket.socket(fileno=stolen)
"""
_RECEIVE = "door = socket.socket(fileno=socket.recv_fds(way, 1, 1)[1][0])"
_CONNECT = """
door = socket.socket(socket.AF_UNIX)
door.connect(given["path"])
door.sendall(b'{"jsonrpc":"2.0","id":0,"method":"hello","params":{"protocol":1}}\\n')
"""
_ACQUIRE = """
door.settimeout(1)
said = b""
try:
    door.sendall(
        b'{"jsonrpc":"2.0","id":7,"method":"lease.acquire","params":{"secret":"openai/dev"}}\\n'
    )
    while part := door.recv(65536):
        said += part
except OSError:
    pass
"""


# 7. Zero grants


_NO_GRANTS = (
    "",
    "[[grant]]\nunsafe_any_session = true\nsecrets = []\n",
    '[[grant]]\nunsafe_any_session = true\nsecrets = ["anthropic/*", "openai/de", "OPENAI/DEV"]\n',
    '[[grant]]\nfolder = "/nowhere"\nsecrets = ["*"]\n',
    '[[grant]]\nunsafe_any_session = true\nsecrets = ["*"]\napproval = "session"\n',
)
_NO_POLICY = (
    '[[grant]]\nunsafe_any_session = true\nsecrets = ["*"]\nsurprise = 1\n',
    '[[grant]]\nsecrets = ["*"]\n',
    "[[grant\n",
)


def test_claim_07_a_session_that_nobody_let_gets_nothing(scene: Scene) -> None:
    root = scene.session()
    assert refusal(root) == "denied.not_granted"
    for policy in _NO_GRANTS:
        scene.world.write_config("policy.toml", policy)
        assert refusal(root) in ("denied.not_granted", "denied.approval_required"), policy
    scene.world.grant(SECRET)
    assert lease(root) == KEY  # the control


def test_claim_07_a_policy_that_cannot_be_understood_grants_nothing(scene: Scene) -> None:
    scene.world.grant(SECRET)
    root = scene.session()
    lease(root)
    for policy in _NO_POLICY:
        scene.world.write_config("policy.toml", policy)
        assert refusal(root) == "usage.config", policy


def test_claim_07_no_program_says_yes_to_itself(scene: Scene) -> None:
    """A yes needs the foreground of a terminal, and the connection that opened the session."""
    root = scene.session()
    child = child_of(root)
    yes = {"session": label(root), "secrets": [SECRET]}
    for process in (root, child, scene.enter()):
        with pytest.raises(BrokerError):
            process.call("session.approve", **yes)
    assert refusal(root) == "denied.not_granted"


def test_claim_07_a_session_gets_no_secret_that_it_was_not_opened_for(scene: Scene) -> None:
    scene.owner.call("secret.set", name="openai/other", value=KEY)
    scene.world.grant("openai/*")
    root = scene.session("openai/other")
    assert refusal(root) == "denied.not_granted"


# 8. A session is a process tree


def test_claim_08_a_copy_of_the_environment_is_worth_nothing(scene: Scene) -> None:
    """The attacker reads /proc/PID/environ of an app, and starts the shim with all of it."""
    scene.world.grant(SECRET)
    root = scene.session()
    env = {"BROKER_SESSION": label(root), "BROKER_SOCKET": scene.world.socket}
    root.do("child = os.fork() or os.execve('/bin/sleep', ['sleep', '60'], given)", **env)
    app = int(root.get("child"))
    thief = scene.enter()
    copied = _environ(thief, app)
    assert copied.items() >= env.items()
    attacker = scene.enter(**copied)
    attacker.do(_HOLDER, secret=SECRET)
    assert attacker.get("kind") == "denied.orphan"
    assert refusal(thief, session=label(root)) == "denied.orphan"
    root.do("os.kill(child, 9)")


def test_claim_08_the_same_program_folder_group_and_terminal_are_worth_nothing(
    scene: Scene,
) -> None:
    scene.world.grant(SECRET)
    shell = scene.enter()
    root, sibling = scene.session(root=shell.fork()), shell.fork()
    assert lease(root) == KEY
    for what in ("os.readlink('/proc/self/exe')", "os.getcwd()", "os.getpgid(0)", "os.getsid(0)"):
        assert sibling.get(what) == root.get(what)
    for outside in (sibling, shell):  # its brother, and its parent
        assert refusal(outside, session=label(root)) == "denied.orphan"


def test_claim_08_a_terminal_shared_with_a_session_is_worth_nothing(scene: Scene) -> None:
    scene.world.grant(SECRET)
    shell = scene.enter().fork_in_terminal()
    root, intruder = scene.session(root=shell.fork()), shell.fork()
    assert intruder.get("os.ttyname(0)") == root.get("os.ttyname(0)")
    with pytest.raises(BrokerError):
        intruder.call("session.approve", session=label(root), secrets=[SECRET])
    assert refusal(intruder) == "denied.no_session"


def test_claim_08_inside_is_inside_however_deep(scene: Scene) -> None:
    """The control: a grandchild that leads a session of its own (setsid(2)) is still inside."""
    scene.world.grant(SECRET)
    deep = child_of(child_of(scene.session()))
    deep.do("os.setsid()")
    assert lease(deep) == KEY


# 9. Orphans


def test_claim_09_a_grandchild_whose_parent_died_is_outside(scene: Scene) -> None:
    """The classic daemon: fork twice, let the one in the middle die."""
    scene.world.grant(SECRET)
    root = scene.session()
    middle = root.fork()
    grandchild = child_of(middle)
    assert lease(grandchild) == KEY
    middle.cut()
    root.do("os.wait()")
    assert refusal(grandchild, session=label(root)) == "denied.orphan"
    assert lease(root) == KEY


def test_claim_09_adoption_does_not_bring_an_orphan_back(scene: Scene) -> None:
    """A reaper of the attacker's (PR_SET_CHILD_SUBREAPER, prctl(2)) above the session gets it."""
    scene.world.grant(SECRET)
    reaper = scene.enter()
    reaper.do("import ctypes; assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0")
    root = scene.session(root=reaper.fork())
    child = root.fork()
    grandchild = child_of(child)
    child.cut()
    root.do("os.wait()")
    assert grandchild.get("os.getppid()") == reaper.pid
    assert refusal(grandchild, session=label(root)) == "denied.orphan"


# 10. Reused numbers


def test_claim_10_the_number_of_a_dead_root_opens_nothing(scene: Scene) -> None:
    require_writable("/proc/sys/kernel/ns_last_pid", "numbers cannot be chosen here")
    scene.world.grant(SECRET)
    root = scene.session()
    number, name = root.pid, label(root)
    bystander = scene.enter()
    root.exit()
    scene.stage.reap()
    successor = fork_with_pid(bystander, number)
    assert successor.pid == number
    assert refusal(successor, session=name) == "denied.no_session"
    assert refusal(child_of(successor), session=name) == "denied.no_session"


def test_claim_10_not_even_while_the_daemon_sleeps(scene: Scene) -> None:
    """The attacker stops the daemon, so that it cannot see the root die, and takes the number."""
    require_writable("/proc/sys/kernel/ns_last_pid", "numbers cannot be chosen here")
    scene.world.grant(SECRET)
    root = scene.session()
    number, bystander = root.pid, scene.enter()
    scene.owner.do("os.kill(given['pid'], 19)", pid=scene.daemon.pid)
    try:
        root.exit()
        scene.stage.reap()
        successor = fork_with_pid(bystander, number)
        successor.do(_CONNECT, path=scene.world.socket)
    finally:
        scene.owner.do("os.kill(given['pid'], 18)", pid=scene.daemon.pid)
    successor.do(_ACQUIRE)
    assert "denied.no_session" in successor.get("said.decode()")
    assert KEY not in successor.get("said.decode()")


# 11. A connection belongs to the process that opened it


def test_claim_11_a_forked_child_cannot_use_its_parents_connection(scene: Scene) -> None:
    scene.world.grant(SECRET)
    root = scene.session()
    lease(root)
    child = root.fork()
    child.do("door = socket.socket(fileno=os.dup(client().fileno()))")
    child.do(_ACQUIRE)
    assert "denied.peer_gone" in child.get("said.decode()")
    assert KEY not in child.get("said.decode()")
    with pytest.raises(DaemonUnreachable):
        root.call("lease.list")  # the connection is over, for its owner too


@pytest.mark.parametrize("owner_lives", [True, False])
def test_claim_11_a_stranger_that_was_passed_the_socket_is_refused(
    scene: Scene, owner_lives: bool
) -> None:
    scene.world.grant(SECRET)
    root = scene.session()
    child, stranger = child_of(root), scene.enter()
    assert lease(child) == KEY
    _pass_on(child, stranger, scene.world.root / "way")
    if not owner_lives:
        child.exit()
    stranger.do(_ACQUIRE)
    assert KEY not in stranger.get("said.decode()")


def test_claim_11_a_socket_that_was_stolen_out_of_the_app_is_refused(scene: Scene) -> None:
    """pidfd_getfd(2): the same user may take a descriptor out of an app that is dumpable."""
    scene.world.grant(SECRET)
    root, thief = scene.session(), scene.enter()
    assert lease(root) == KEY
    thief.do(_STEAL, pid=root.pid, fd=root.get("client().fileno()"))
    thief.do(_ACQUIRE)
    assert "denied.peer_gone" in thief.get("said.decode()")
    assert KEY not in thief.get("said.decode()")


def test_claim_11_a_stranger_cannot_claim_the_owners_number(scene: Scene) -> None:
    """SCM_CREDENTIALS (unix(7)) may be sent along, and even a user namespace's root tries."""
    scene.world.grant(SECRET)
    root, thief = scene.session(), scene.enter()
    thief.do(_STEAL, pid=root.pid, fd=root.get("client().fileno()"))
    thief.do("ctypes.CDLL(None).unshare(0x10000000)")  # CLONE_NEWUSER; not allowed everywhere
    thief.do(
        "import struct\n"
        "claim = struct.pack('=iII', given['pid'], os.getuid(), os.getgid())\n"
        "try:\n"
        "    door.sendmsg([b'x'], [(socket.SOL_SOCKET, 2, claim)])\n"
        "    lied = True\n"
        "except OSError:\n"
        "    lied = False",
        pid=root.pid,
    )
    assert not thief.get("lied")
    assert lease(root) == KEY


# 12. broker.toml


def _allow(scene: Scene, path: Path) -> None:
    shown = scene.owner.call("project.show", path=str(path))
    scene.owner.call("project.allow", path=str(path), sha256=shown["sha256"])


def _open(puppet: Puppet, path: Path) -> dict[str, str]:
    opened = puppet.call("session.open", program="/bin/true", env={}, project=str(path))
    env: dict[str, str] = opened["env"]
    return env


@pytest.mark.parametrize(
    "change",
    [
        'OPENAI_API_KEY = "openai/dev"\nOTHER_KEY = "openai/prod"\n',
        'OPENAI_API_KEY = "openai/prod"\n',
        'OPENAI_API_KEY = "openai/dev" \n',
        'OPENAI_API_KEY = "openai/dev"\n# a comment\n',
    ],
)
def test_claim_12_a_changed_file_opens_nothing(scene: Scene, change: str) -> None:
    scene.owner.call("secret.set", name="openai/prod", value=KEY)
    path = scene.world.project("app", OPENAI_API_KEY=SECRET)
    _allow(scene, path)
    assert _open(scene.enter(), path) == {"OPENAI_API_KEY": SECRET}
    path.write_text(change)
    with pytest.raises(ProjectNotAllowed, match="has changed"):
        _open(scene.enter(), path)


def test_claim_12_what_changed_after_it_was_shown_is_not_allowed(scene: Scene) -> None:
    path = scene.world.project("app", OPENAI_API_KEY=SECRET)
    shown = scene.owner.call("project.show", path=str(path))
    path.write_text('OPENAI_API_KEY = "openai/prod"\n')
    with pytest.raises(ProjectNotAllowed, match="changed while"):
        scene.owner.call("project.allow", path=str(path), sha256=shown["sha256"])
    with pytest.raises(ProjectNotAllowed):
        _open(scene.enter(), path)


def test_claim_12_another_folder_with_the_same_content_is_not_allowed(scene: Scene) -> None:
    """A link to the allowed project is the allowed project; a copy of it is not."""
    path = scene.world.project("app", OPENAI_API_KEY=SECRET)
    _allow(scene, path)
    copy = scene.world.project("copy", OPENAI_API_KEY=SECRET)
    with pytest.raises(ProjectNotAllowed):
        _open(scene.enter(), copy)
    (scene.world.home / "link").symlink_to(path.parent)
    assert _open(scene.enter(), scene.world.home / "link" / path.name) == {"OPENAI_API_KEY": SECRET}


def test_claim_12_a_file_that_changes_all_the_time_never_opens_the_wrong_one(scene: Scene) -> None:
    """A race between the look at the file's hash and the look at what it asks for."""
    scene.owner.call("secret.set", name="openai/prod", value=KEY)
    path = scene.world.project("app", OPENAI_API_KEY=SECRET)
    good, bad = b'OPENAI_API_KEY = "openai/dev" \n', b'OPENAI_API_KEY = "openai/prod"\n'
    path.write_bytes(good)
    _allow(scene, path)
    flipper = scene.enter()
    flipper.order_only(
        "import itertools\n"
        "for n in itertools.count():\n"
        f"    open({str(path)!r}, 'r+b').write({good!r} if n % 2 else {bad!r})"
    )
    victim, opened = scene.enter(), 0
    for _ in range(300):
        try:
            assert _open(victim, path) == {"OPENAI_API_KEY": SECRET}
            opened += 1
        except ProjectNotAllowed:
            continue
    assert 0 < opened < 300


# 13. A session's end


def test_claim_13_when_the_root_dies_its_leases_are_gone_within_a_second(scene: Scene) -> None:
    scene.world.grant(SECRET)
    for number in ("SIGKILL", "SIGTERM", "SIGSEGV", "SIGABRT", "SIGHUP"):
        root = scene.session()
        name, child = label(root), child_of(root)
        assert lease(root) == lease(child) == KEY
        killed = datetime.now(UTC)
        root.cut(signal.Signals[number])
        wait_until(lambda: scene.owner.call("lease.list")["leases"] == [], 1.0)
        assert refusal(child, session=name) == "denied.no_session"
        endings = scene.world.events("session.ended", "lease.ended")[-3:]
        assert [each["session"] for each in endings] == [name] * 3
        assert "its root process ended" in [each["reason"] for each in endings]
        for each in endings:
            assert (datetime.fromisoformat(each["time"]) - killed).total_seconds() < 1.0


def test_claim_13_a_survivor_of_the_root_is_not_renewed(scene: Scene) -> None:
    """It detached, ignores every signal, and keeps its connection: its lease ends all the same."""
    scene.world.grant(SECRET)
    root = scene.session()
    survivor = child_of(root)
    survivor.do("import signal\nos.setsid()\n"
                "for n in (1, 2, 3, 15): signal.signal(n, signal.SIG_IGN)")  # fmt: skip
    held = survivor.call("lease.acquire", secret=SECRET)["lease"]
    root.cut()
    wait_until(lambda: any(told[0] == "lease.revoked" for told in survivor.told()), 1.0)
    for attempt in ("lease.renew", "lease.release"):
        with pytest.raises(BrokerError):
            survivor.call(attempt, lease=held)


def _environ(puppet: Puppet, pid: int) -> dict[str, str]:
    """Return another process's environment as a process can read it (proc_pid_environ(5))."""
    text = puppet.get(f"open('/proc/{pid}/environ').read()")
    wait = threading.Event()
    while "BROKER_SESSION" not in text:  # it has not executed its program yet
        wait.wait(0.01)
        text = puppet.get(f"open('/proc/{pid}/environ').read()")
    return dict(each.split("=", 1) for each in text.split("\0") if each)


def _pass_on(giver: Puppet, taker: Puppet, way: Path) -> None:
    """Let one process hand its connection to another (SCM_RIGHTS, unix(7))."""
    way.parent.chmod(0o777)
    taker.do("l = socket.socket(socket.AF_UNIX); l.bind(given['way']); l.listen()", way=str(way))
    giver.do("way = socket.socket(socket.AF_UNIX); way.connect(given['way'])", way=str(way))
    taker.do("way, _ = l.accept()")
    giver.do("socket.send_fds(way, [b'x'], [client().fileno()])")
    taker.do(_RECEIVE)
    os.unlink(way)
