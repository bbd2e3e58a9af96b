"""Linux: who is calling, from unix(7), pidfd_open(2) and proc_pid_stat(5)."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

from brokerd.peer.pin import Pin
from brokershim.errors import ForeignUser, PeerGone

assert sys.platform == "linux"  # noqa: S101  (type checkers narrow on it)

_UCRED = struct.Struct("=iII")  # struct ucred: pid, uid, gid
_CREDENTIALS_SPACE = socket.CMSG_SPACE(_UCRED.size)
_SO_PEERPIDFD = 77  # asm-generic/socket.h, since Linux 6.5; Python 3.11 has no name for it
_STAT_BYTES = 1024
# What SO_PEERPIDFD says of a process that was waited for already: Linux 6.5, 6.16, and with
# nothing known of the peer at all.
_REAPED = (errno.EINVAL, errno.ESRCH, errno.ENODATA)
PINNED_BY = "pidfd"


class _Stat(NamedTuple):
    """The fields of /proc/PID/stat that are looked at."""

    parent: int
    group: int
    terminal: int
    foreground: int
    start: int


def prepare(listener: socket.socket) -> None:
    """Have the kernel name the sender of every message, on each connection accepted here.

    SO_PEERCRED is fixed at connect: a forked child, or a stranger who was passed the socket,
    still looks like the process that connected. SCM_CREDENTIALS names who really wrote.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)


class Peer:
    """The process at the other end of one connection, pinned when the connection came.

    Args:
        connection: The accepted socket.

    Raises:
        ForeignUser: It runs as another user than this process.
        PeerGone: It has ended already.
    """

    def __init__(self, connection: socket.socket) -> None:
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        self.pid, self.uid, _ = _UCRED.unpack(raw)
        if self.uid != os.geteuid():
            raise ForeignUser(
                f"this daemon does not serve uid {self.uid}", details={"uid": self.uid}
            )
        if self.pid == 0:
            raise PeerGone("the caller is outside this daemon's pid namespace")
        self.pin = Pin(self.pid, _pidfd(connection, self.pid))
        self._stat_fd = -1
        try:
            # Held open: a read of it can never tell of another process with a reused number.
            self._stat_fd = os.open(f"/proc/{self.pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
            self.start = _read_stat(self._stat_fd).start
        except OSError:
            self.close()
            raise PeerGone(f"process {self.pid} has ended") from None

    def receive(self, connection: socket.socket, size: int) -> bytes:
        """Return the next bytes of a connection, empty at its end.

        Descriptors that are passed along are closed by the kernel: there is no room for them.

        Raises:
            PeerGone: Another process than the one that connected has written.
            BlockingIOError: There is nothing to read.
            OSError: The connection broke.
        """
        data, ancillary, _, _ = connection.recvmsg(size, _CREDENTIALS_SPACE)
        if data and not self._wrote(ancillary):
            raise PeerGone(f"another process writes on the connection of process {self.pid}")
        return data

    def _wrote(self, ancillary: list[tuple[int, int, bytes]]) -> bool:
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                return bool(_UCRED.unpack(payload)[0] == self.pid)
        return False

    def alive(self) -> bool:
        """Return whether the process still runs."""
        return self.pin.alive()

    def ancestors(self) -> Iterator[int]:
        """Yield the process's own number, its parent's, and so on up.

        A parent is gone past only if the child still has it after it was looked at. Otherwise
        it may have ended in between, and its number be another process's by now.
        """
        yield self.pid
        opened: list[int] = []
        child = self._stat_fd
        try:
            while (parent := _read_stat(child).parent) > 0:
                yield parent
                above = os.open(f"/proc/{parent}/stat", os.O_RDONLY | os.O_CLOEXEC)
                opened.append(above)
                if _read_stat(child).parent != parent:
                    return
                child = above
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            return
        finally:
            for fd in opened:
                os.close(fd)

    def in_foreground(self) -> bool:
        """Return whether it is in the foreground of a terminal, so that a person can answer."""
        try:
            stat = _read_stat(self._stat_fd)
        except ProcessLookupError:
            return False
        return stat.terminal != 0 and stat.group == stat.foreground

    def executable(self) -> str:
        """Return the path of what it runs now (exec keeps the pid), or "?"."""
        return _link(f"/proc/{self.pid}/exe")

    def folder(self) -> str:
        """Return its working folder, or "?"."""
        return _link(f"/proc/{self.pid}/cwd")

    def close(self) -> None:
        """Let go of the process."""
        self.pin.close()
        if self._stat_fd >= 0:
            os.close(self._stat_fd)
            self._stat_fd = -1


def _pidfd(connection: socket.socket, pid: int) -> int:
    try:
        return connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError as error:
        if error.errno in _REAPED:
            raise PeerGone(f"process {pid} has ended") from None
        if error.errno != errno.ENOPROTOOPT:
            raise
    # Before Linux 6.5. Should the number be reused by now, then what is pinned is the process
    # that has it now, and what the one before it sent is taken for its: SECURITY.md says so.
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise PeerGone(f"process {pid} has ended") from None


def _read_stat(fd: int) -> _Stat:
    """Parse a stat file from after the program's name, which may hold anything, even ')'."""
    if fd < 0:
        raise ProcessLookupError
    fields = os.pread(fd, _STAT_BYTES, 0).rpartition(b")")[2].split()
    if not fields:
        raise ProcessLookupError
    return _Stat(*(int(fields[index]) for index in (1, 2, 4, 5, 19)))


def _link(path: str) -> str:
    """Return where a link leads, as text: one reply with half a surrogate pair spoils a list."""
    try:
        return os.readlink(os.fsencode(path)).decode("utf-8", "backslashreplace")
    except OSError:
        return "?"
