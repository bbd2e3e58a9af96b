"""What the kernel says of a caller, and what older ones do not."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from pathlib import Path
from typing import cast

import pytest

from brokerd.peer import Peer, _linux
from brokershim.errors import PeerGone
from tests.support.daemon import World, wait_until
from tests.support.door import Door, open_descriptors
from tests.support.puppet import Puppet, Stage

assert sys.platform == "linux"  # type checkers narrow on it; conftest.py leaves this out elsewhere

_SO_PEERPIDFD = 77


def test_the_kernel_names_the_process(door: Door, caller: Puppet) -> None:
    found, _ = door.let_in(caller)
    stat = Path(f"/proc/{caller.pid}/stat").read_text().rpartition(")")[2].split()
    assert (found.pid, found.uid) == (caller.pid, os.geteuid())
    assert found.start == int(stat[19])
    assert found.executable() == os.readlink(f"/proc/{caller.pid}/exe")
    assert found.folder() == caller.get("os.getcwd()")
    assert found.alive()


def test_a_caller_that_ended_before_it_was_accepted_is_not_served(
    door: Door, caller: Puppet, stage: Stage
) -> None:
    door.knock(caller)
    caller.do("door.send(b'hello')")
    caller.exit()
    stage.reap()
    before = open_descriptors()
    connection = door.accept()
    with pytest.raises(PeerGone, match=f"process {caller.pid} has ended"):
        door.look(connection)
    assert open_descriptors() == before + 1  # the connection itself


def test_a_caller_that_ends_while_it_is_looked_at_costs_no_descriptor(
    door: Door, caller: Puppet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reaped(fd: int) -> None:
        raise ProcessLookupError(errno.ESRCH, f"descriptor {fd} says nothing any more")

    door.knock(caller)
    connection = door.accept()
    before = open_descriptors()
    monkeypatch.setattr(_linux, "_read_stat", reaped)
    with pytest.raises(PeerGone):
        Peer(connection)
    assert open_descriptors() == before


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
