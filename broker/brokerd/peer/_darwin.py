"""macOS: who is calling, from unix(4), getsockopt(2), kqueue(2) and sys/proc_info.h."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import struct
import sys
from collections.abc import Iterator

import psutil

from brokerd.peer.pin import Pin
from brokershim.errors import ForeignUser, PeerGone

assert sys.platform == "darwin"  # noqa: S101  (type checkers narrow on it)

_SOL_LOCAL = 0  # sys/un.h
_LOCAL_PEERCRED = 1
_LOCAL_PEERPID = 2
_XUCRED = struct.Struct("=IIh2x16I")  # struct xucred: version, uid, ngroups, groups
_PROC_PIDTBSDINFO = 3  # sys/proc_info.h
# struct proc_bsdinfo: 12 numbers, two names, then these, nice and the start time.
_BSDINFO = struct.Struct("=12I16s32sIIIIIiQQ")
_PGID, _TERMINAL, _FOREGROUND = 15, 17, 18
_NO_DEVICE = 0xFFFFFFFF
PINNED_BY = "kqueue"


def prepare(listener: socket.socket) -> None:
    """Nothing to switch on: LOCAL_PEERPID always names the last process to use the socket."""
    del listener


class Peer:
    """The process at the other end of one connection, pinned when the connection came.

    Args:
        connection: The accepted socket.

    Raises:
        ForeignUser: It runs as another user than this process.
        PeerGone: It has ended already.
    """

    def __init__(self, connection: socket.socket) -> None:
        raw = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size)
        self.uid = int(_XUCRED.unpack(raw)[1])
        if self.uid != os.geteuid():
            raise ForeignUser(
                f"this daemon does not serve uid {self.uid}", details={"uid": self.uid}
            )
        self.pid = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID)
        try:
            self._process = psutil.Process(self.pid)
            self.start = int(self._process.create_time() * 1_000_000)
            self.pin = Pin(self.pid, _exit_watch(self.pid))
        except (psutil.Error, ProcessLookupError):
            raise PeerGone(f"process {self.pid} has ended") from None

    def receive(self, connection: socket.socket, size: int) -> bytes:
        """Return the next bytes of a connection, empty at its end.

        Raises:
            PeerGone: Another process than the one that connected has used the socket.
            BlockingIOError: There is nothing to read.
            OSError: The connection broke.
        """
        data = connection.recv(size)
        if data and connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID) != self.pid:
            raise PeerGone(f"another process writes on the connection of process {self.pid}")
        return data

    def alive(self) -> bool:
        """Return whether the process still runs."""
        return self.pin.alive()

    def ancestors(self) -> Iterator[int]:
        """Yield the process's own number, its parent's, and so on up.

        A parent is gone past only if the child still has it after it was looked at. Otherwise
        it may have ended in between, and its number be another process's by now.
        """
        yield self.pid
        child = self._process
        try:
            while (parent := child.ppid()) > 0:
                yield parent
                above = psutil.Process(parent)
                if child.ppid() != parent:
                    return
                child = above
        except psutil.Error:
            return

    def in_foreground(self) -> bool:
        """Return whether it is in the foreground of a terminal, so that a person can answer."""
        # Not tcgetpgrp(3): it answers only about the caller's own terminal, and we have none.
        info = ctypes.create_string_buffer(_BSDINFO.size)
        libc = ctypes.CDLL(None)
        size = libc.proc_pidinfo(self.pid, _PROC_PIDTBSDINFO, ctypes.c_uint64(0), info, len(info))
        if size != _BSDINFO.size:
            return False
        fields = _BSDINFO.unpack(info.raw)
        return bool(fields[_TERMINAL] != _NO_DEVICE and fields[_PGID] == fields[_FOREGROUND])

    def executable(self) -> str:
        """Return the path of what it runs now (exec keeps the pid), or "?"."""
        try:
            return self._process.exe()
        except (psutil.Error, OSError):
            return "?"

    def folder(self) -> str:
        """Return its working folder, or "?"."""
        try:
            return self._process.cwd()
        except (psutil.Error, OSError):
            return "?"

    def close(self) -> None:
        """Let go of the process."""
        self.pin.close()


def _exit_watch(pid: int) -> int:
    """Return a kqueue descriptor that becomes readable when the process ends."""
    queue = select.kqueue()
    event = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
    queue.control([event], 0)
    fd = os.dup(queue.fileno())
    queue.close()
    return fd
