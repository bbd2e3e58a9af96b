"""Who really wrote? Real processes that share, pass on and claim one socket."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios

import pytest

from brokershim.errors import ForeignUser, PeerGone
from tests.support.daemon import PLAIN_UID, plain_python
from tests.support.door import Door, open_descriptors, receive
from tests.support.puppet import Puppet, Stage
from tests.support.require import require_root


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
    caller.pass_on("door", stranger)
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
    caller.pass_on("door", stranger)
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
    before = open_descriptors()
    caller.do(
        "pipe = os.pipe()\n"
        "for n in range(20):\n"
        "    socket.send_fds(door, [b'x'], [pipe[1]] * 50)\n"
        "os.close(pipe[1])"
    )
    data = b""
    while len(data) < 20:
        data += receive(found, connection)
    assert open_descriptors() == before
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


def _unread(connection: socket.socket) -> int:
    answer = fcntl.ioctl(connection, termios.FIONREAD, b"\0" * 4)
    return int(struct.unpack("=i", answer)[0])
