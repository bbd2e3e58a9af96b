"""Who owns the socket? One daemon for each user, behind a lock that dies with it."""

from __future__ import annotations

import fcntl
import os
import socket
import stat

from brokerd import peer
from brokershim.address import address_of
from brokershim.errors import AlreadyRunning, InsecurePath
from brokershim.ownership import make_private_dir, open_private

_BACKLOG = 512


class Listener:
    """The listening socket, and the lock that says it is ours.

    Args:
        path: Where the socket is to stand, in a folder of its own.

    Raises:
        AlreadyRunning: Another daemon holds the lock.
        InsecurePath: The folder, the lock or what stands in the socket's place is not ours.
        OSError: It cannot be made.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        folder = os.path.dirname(path)
        make_private_dir(folder)
        self._lock = _lock(os.path.join(folder, "daemon.lock"))
        try:
            self.socket = _listen(path)
        except BaseException:
            os.close(self._lock)
            raise
        self._inode = os.lstat(path).st_ino

    def is_ours(self) -> bool:
        """Return whether the socket at the path is still this one."""
        try:
            return os.lstat(self.path).st_ino == self._inode
        except OSError:
            return False

    def stop(self) -> None:
        """Stop listening, and take the socket away."""
        self.socket.close()
        if self.is_ours():
            os.unlink(self.path)

    def close(self) -> None:
        """Let go of the lock: from here on another daemon may start."""
        os.close(self._lock)


def _lock(path: str) -> int:
    fd = open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        # flock(2): the kernel lets go when the process ends, however it ends.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise AlreadyRunning("another daemon of this user runs already") from None
    return fd


def _listen(path: str) -> socket.socket:
    """Bind beside the path and rename: nobody meets a socket that does not listen yet.

    A stale socket of a daemon that was killed is replaced by the rename; the lock says that
    its daemon is gone.
    """
    _check_stale(path)
    beside = f"{path}.new"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.setblocking(False)
    try:
        if os.path.lexists(beside):
            os.unlink(beside)
        with address_of(beside) as address:
            listener.bind(address)
        os.chmod(beside, 0o600)
        peer.prepare(listener)
        listener.listen(_BACKLOG)
        os.rename(beside, path)
    except BaseException:
        listener.close()
        raise
    return listener


def _check_stale(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
        raise InsecurePath(
            f"{path} is not a socket of yours", hint="look at what it is, and remove it"
        )
