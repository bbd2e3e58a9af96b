"""Real processes at the other end of a real socket."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from brokerd.peer import Peer, _linux
from brokershim.errors import ForeignUser, PeerGone
from tests.support.daemon import PLAIN_UID, World, plain_python, wait_until
from tests.support.door import Door, receive
from tests.support.puppet import Puppet, Stage
from tests.support.require import require_root, require_writable

assert sys.platform == "linux"  # type checkers narrow on it; conftest.py leaves this out elsewhere

_SO_PEERPIDFD = 77
_LAST_PID = "/proc/sys/kernel/ns_last_pid"


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    yield made
    made.close()


@pytest.fixture
def caller(stage: Stage) -> Puppet:
    return stage.enter()


def _open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_the_kernel_names_the_process(door: Door, caller: Puppet) -> None:
    found, _ = door.let_in(caller)
    stat = Path(f"/proc/{caller.pid}/stat").read_text().rpartition(")")[2].split()
    assert (found.pid, found.uid) == (caller.pid, os.geteuid())
    assert found.start == int(stat[19])
    assert found.executable() == os.readlink(f"/proc/{caller.pid}/exe")
    assert found.folder() == caller.get("os.getcwd()")
    assert found.alive()


def test_what_it_wrote_before_it_was_accepted_is_its_own(door: Door, caller: Puppet) -> None:
    door.knock(caller)
    caller.do("door.send(b'early')")
    connection = door.accept()
    assert receive(door.look(connection), connection) == b"early"


def test_the_end_of_a_connection_is_empty_and_silence_is_no_end(door: Door, caller: Puppet) -> None:
    found, connection = door.let_in(caller)
    with pytest.raises(BlockingIOError):
        found.receive(connection, 10)
    caller.do("door.close()")
    assert receive(found, connection) == b""


def test_a_forked_child_cannot_write_in_its_parents_name(door: Door, caller: Puppet) -> None:
    found, connection = door.let_in(caller)
    child = caller.fork()
    child.do("door.send(b'mine now')")
    with pytest.raises(PeerGone, match=f"another process writes .* process {caller.pid}"):
        receive(found, connection)
    assert found.alive()


def test_the_bytes_of_two_writers_are_never_mixed(door: Door, caller: Puppet) -> None:
    found, connection = door.let_in(caller)
    child = caller.fork()
    caller.do("door.send(b'from the parent')")
    child.do("door.send(b'from the child')")
    assert receive(found, connection) == b"from the parent"
    with pytest.raises(PeerGone):
        receive(found, connection)


def test_a_stranger_who_was_passed_the_socket_cannot_use_it(
    door: Door, caller: Puppet, stage: Stage
) -> None:
    stranger = stage.enter()
    found, connection = door.let_in(caller)
    _pass_on(caller, "door", stranger)
    caller.exit()
    stranger.do("passed.send(b'in its name')")
    assert not found.alive()
    with pytest.raises(PeerGone):
        receive(found, connection)


def test_a_stranger_cannot_claim_to_be_the_caller(door: Door, stage: Stage, caller: Puppet) -> None:
    """SCM_CREDENTIALS may be sent too: the kernel refuses a pid that is not the sender's.

    It lets root lie, so the stranger is not root.
    """
    require_root()
    stranger = stage.enter_as(PLAIN_UID, plain_python())
    _, connection = door.let_in(caller)
    _pass_on(caller, "door", stranger)
    stranger.do(
        "import struct\n"
        "claim = struct.pack('=iII', given['pid'], os.getuid(), os.getgid())\n"
        "try:\n"
        "    passed.sendmsg([b'x'], [(socket.SOL_SOCKET, 2, claim)])\n"
        "    refused = False\n"
        "except PermissionError:\n"
        "    refused = True",
        pid=caller.pid,
    )
    assert stranger.get("refused")
    with pytest.raises(BlockingIOError):
        connection.recv(1)


def test_descriptors_that_are_passed_along_do_not_arrive(door: Door, caller: Puppet) -> None:
    found, connection = door.let_in(caller)
    before = _open_descriptors()
    caller.do(
        "pipe = os.pipe()\n"
        "for n in range(20):\n"
        "    socket.send_fds(door, [b'x'], [pipe[1]] * 50)\n"
        "os.close(pipe[1])"
    )
    data = b""
    while len(data) < 20:
        data += receive(found, connection)
    assert _open_descriptors() == before
    # Nobody holds the writing end any more: not this process, and nothing that is on its way.
    assert caller.get("os.read(pipe[0], 1) == b''")


def test_another_user_is_refused_before_a_byte_is_read(door: Door, stage: Stage) -> None:
    require_root()
    foreigner = stage.enter_as(PLAIN_UID, plain_python())
    door.knock(foreigner)
    foreigner.do("door.send(b'hello')")
    connection = door.accept()
    with pytest.raises(ForeignUser, match=f"uid {PLAIN_UID}"):
        door.look(connection)
    assert _unread(connection) == len(b"hello")


def test_root_is_another_user_too(
    monkeypatch: pytest.MonkeyPatch, door: Door, stage: Stage
) -> None:
    door.knock(stage.enter())
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ForeignUser):
        door.look(door.accept())


def test_ancestors_are_the_process_and_all_above_it(door: Door, caller: Puppet) -> None:
    child = caller.fork()
    grandchild = child.fork()
    found, _ = door.let_in(grandchild)
    chain = list(found.ancestors())
    assert chain[:4] == [grandchild.pid, child.pid, caller.pid, os.getpid()]
    assert chain[-1] == 1
    assert len(set(chain)) == len(chain)


def test_an_orphan_has_another_parent(door: Door, caller: Puppet) -> None:
    child = caller.fork()
    orphan = child.fork()
    found, _ = door.let_in(orphan)
    child.exit()
    caller.do("os.wait()")
    assert caller.pid not in list(found.ancestors())
    assert found.alive()


@pytest.mark.parametrize("name", [") R 1 1 1 (", "a) b) c", "))))", "  S 1 ", "\n1 (x) S 1 2"])
def test_a_programs_name_cannot_forge_its_parents(door: Door, caller: Puppet, name: str) -> None:
    child = caller.fork()
    rename = "open('/proc/self/comm', 'wb').write(given['name'].encode())"
    caller.do(rename, name=name)
    child.do(rename, name=name)
    found, _ = door.let_in(child)
    assert list(found.ancestors())[:3] == [child.pid, caller.pid, os.getpid()]
    assert not found.in_foreground()


def test_the_ancestors_of_a_process_that_ended_are_nobody(
    door: Door, caller: Puppet, stage: Stage
) -> None:
    found, _ = door.let_in(caller)
    caller.exit()
    stage.reap()
    assert list(found.ancestors()) == [caller.pid]
    assert not found.alive()
    assert not found.in_foreground()
    assert (found.executable(), found.folder()) == ("?", "?")


def test_a_closed_peer_is_gone_and_has_no_ancestors(door: Door, caller: Puppet) -> None:
    found, _ = door.let_in(caller)
    found.close()
    found.close()
    assert not found.alive()
    assert list(found.ancestors()) == [caller.pid]
    assert not found.in_foreground()


def test_a_caller_that_ended_before_it_was_accepted_is_not_served(
    door: Door, caller: Puppet, stage: Stage
) -> None:
    door.knock(caller)
    caller.do("door.send(b'hello')")
    caller.exit()
    stage.reap()
    before = _open_descriptors()
    connection = door.accept()
    with pytest.raises(PeerGone, match=f"process {caller.pid} has ended"):
        door.look(connection)
    assert _open_descriptors() == before + 1  # the connection itself


def test_a_caller_that_ends_while_it_is_looked_at_costs_no_descriptor(
    door: Door, caller: Puppet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reaped(fd: int) -> None:
        raise ProcessLookupError(errno.ESRCH, f"descriptor {fd} says nothing any more")

    door.knock(caller)
    connection = door.accept()
    before = _open_descriptors()
    monkeypatch.setattr(_linux, "_read_stat", reaped)
    with pytest.raises(PeerGone):
        Peer(connection)
    assert _open_descriptors() == before


def test_a_number_that_now_means_another_process_is_not_the_caller(
    door: Door, caller: Puppet, stage: Stage
) -> None:
    """The attack: die, and hope that a process inside somebody's session gets the number."""
    require_writable(_LAST_PID, "a container without that right cannot choose a pid")
    found, _ = door.let_in(caller)
    caller.exit()
    stage.reap()
    successor = _fork_with_pid(stage.enter(), caller.pid)
    assert os.path.exists(f"/proc/{caller.pid}")
    assert not found.alive()
    assert list(found.ancestors()) == [caller.pid]  # its stat file is not read by number again
    again, _ = door.let_in(successor)
    assert (again.pid, again.start) != (found.pid, found.start)
    assert again.alive()


def test_a_reused_number_in_the_middle_of_a_chain_is_not_followed(
    door: Door, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parent may end, and its number be another's, before its own parent is asked for."""
    require_writable(_LAST_PID, "a container without that right cannot choose a pid")
    top, elsewhere = stage.enter(), stage.enter()
    middle = top.fork()
    caller = middle.fork()
    found, _ = door.let_in(caller)
    real_open = os.open

    def open_late(path: str, flags: int) -> int:
        if path == f"/proc/{middle.pid}/stat":
            middle.exit()
            top.do("os.wait()")
            _fork_with_pid(elsewhere, middle.pid)
        return real_open(path, flags)

    monkeypatch.setattr(os, "open", open_late)
    assert list(found.ancestors()) == [caller.pid, middle.pid]


def test_looking_at_ancestors_costs_no_descriptor(door: Door, caller: Puppet) -> None:
    found, _ = door.let_in(caller)
    before = _open_descriptors()
    for _ in range(3):
        list(found.ancestors())
        next(iter(found.ancestors()))
    assert _open_descriptors() == before


def test_in_the_foreground_of_a_terminal(door: Door, caller: Puppet) -> None:
    in_front = caller.fork_in_terminal()
    found, _ = door.let_in(in_front)
    assert found.in_foreground()


def test_not_in_the_foreground(door: Door, caller: Puppet) -> None:
    in_front = caller.fork_in_terminal()
    behind = in_front.fork()
    behind.do("os.setpgid(0, 0)")
    found, _ = door.let_in(behind)
    assert not found.in_foreground()
    without, _ = door.let_in(caller)
    assert not without.in_foreground()


def test_what_is_put_into_the_background_is_not_in_the_foreground_any_more(
    door: Door, caller: Puppet
) -> None:
    shell = caller.fork_in_terminal()
    job = shell.fork()
    job.do("os.setpgid(0, 0)")
    found, _ = door.let_in(job)
    shell.do("os.tcsetpgrp(0, given['group'])", group=job.pid)
    assert found.in_foreground()
    job.do("import signal; signal.signal(signal.SIGTTOU, signal.SIG_IGN)")
    job.do("os.tcsetpgrp(0, os.getppid())")
    assert not found.in_foreground()


def test_a_terminal_that_hung_up_is_none(door: Door, caller: Puppet) -> None:
    in_front = caller.fork_in_terminal()
    in_front.do("import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    found, _ = door.let_in(in_front)
    caller.do("os.close(terminal)")
    wait_until(lambda: not found.in_foreground())
    assert found.alive()


def test_exec_changes_what_runs_and_not_who(door: Door, caller: Puppet) -> None:
    found, _ = door.let_in(caller)
    before = found.executable()
    caller.order_only("os.execv('/bin/sleep', ['sleep', '60'])")
    wait_until(lambda: found.executable() != before)
    assert os.path.basename(found.executable()) in ("sleep", "coreutils")
    assert found.alive()
    assert found.pid == caller.pid


def test_a_path_that_is_no_text_becomes_one(door: Door, caller: Puppet, world: World) -> None:
    """Else whoever starts in such a folder makes every list unreadable that names it."""
    folder = os.fsencode(world.root) + b"/\xff"
    os.mkdir(folder)
    found, _ = door.let_in(caller)
    caller.do("os.chdir(os.fsencode(given['root']) + b'/\\xff')", root=str(world.root))
    assert found.folder() == f"{world.root}/\\xff"
    found.folder().encode("utf-8")


def test_the_files_of_ours_are_not_inherited(door: Door, caller: Puppet) -> None:
    found, _ = door.let_in(caller)
    assert not os.get_inheritable(found.pin.fd)
    assert not os.get_inheritable(found._stat_fd)


class _OldKernel:
    """A connection as a kernel without SO_PEERPIDFD shows it, or one that answers otherwise."""

    def __init__(self, connection: socket.socket, number: int, pid: int | None = None) -> None:
        self._connection = connection
        self._errno = number
        self._pid = pid

    def getsockopt(self, level: int, option: int, size: int = 0) -> int | bytes:
        if option == _SO_PEERPIDFD:
            raise OSError(self._errno, os.strerror(self._errno))
        found = self._connection.getsockopt(level, option, size)
        return found if self._pid is None else struct.pack("=iII", self._pid, os.geteuid(), 0)


def _as_socket(stand_in: _OldKernel) -> socket.socket:
    return cast(socket.socket, stand_in)


def test_without_so_peerpidfd_the_number_is_pinned(door: Door, caller: Puppet) -> None:
    door.knock(caller)
    found = Peer(_as_socket(_OldKernel(door.accept(), errno.ENOPROTOOPT)))
    assert found.alive()
    caller.exit()
    assert not found.alive()
    found.close()


def test_without_so_peerpidfd_a_number_of_nobody_is_gone(
    door: Door, caller: Puppet, stage: Stage
) -> None:
    door.knock(caller)
    connection = door.accept()
    caller.exit()
    stage.reap()
    with pytest.raises(PeerGone):
        Peer(_as_socket(_OldKernel(connection, errno.ENOPROTOOPT)))


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ESRCH, errno.ENODATA])
def test_a_kernel_that_says_the_caller_was_reaped_is_believed(
    door: Door, caller: Puppet, number: int
) -> None:
    """Linux 6.5 to 6.15 say EINVAL of a reaped process: its number may be another's by now."""
    door.knock(caller)
    with pytest.raises(PeerGone):
        Peer(_as_socket(_OldKernel(door.accept(), number)))


def test_a_caller_from_outside_our_pid_namespace_is_refused(door: Door, caller: Puppet) -> None:
    """Its number is 0 here (pid_namespaces(7)), so nothing can be said of its ancestry."""
    door.knock(caller)
    with pytest.raises(PeerGone):
        Peer(_as_socket(_OldKernel(door.accept(), errno.ENOPROTOOPT, pid=0)))


def _pass_on(owner: Puppet, name: str, stranger: Puppet) -> None:
    """Have one process pass a socket to another, which calls it ``passed``."""
    path = owner.get("__import__('tempfile').mkdtemp()") + "/passing"
    os.chmod(os.path.dirname(path), 0o755)
    owner.do(
        "meet = socket.socket(socket.AF_UNIX); meet.bind(given['path']); meet.listen()\n"
        "os.chmod(given['path'], 0o777)",
        path=path,
    )
    stranger.do("met = socket.socket(socket.AF_UNIX); met.connect(given['path'])", path=path)
    owner.do(f"socket.send_fds(meet.accept()[0], [b'x'], [{name}.fileno()])")
    stranger.do("passed = socket.socket(fileno=socket.recv_fds(met, 1, 1)[1][0])")


def _fork_with_pid(puppet: Puppet, wanted: int) -> Puppet:
    """Return a child of a puppet with the number that is wanted; other processes may be quicker."""
    for _ in range(200):
        Path(_LAST_PID).write_text(str(wanted - 1))
        child = puppet.fork()
        if child.pid == wanted:
            return child
        child.exit()
        puppet.do("os.wait()")
    raise AssertionError(f"pid {wanted} could not be had")


def _unread(connection: socket.socket) -> int:
    answer = fcntl.ioctl(connection, termios.FIONREAD, b"\0" * 4)
    return int(struct.unpack("=i", answer)[0])
