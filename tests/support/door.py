"""A listening socket as the daemon's, to look at single callers of it."""

from __future__ import annotations

import os
import select
import socket
import tempfile
from pathlib import Path

from brokerd import peer
from tests.support.puppet import Puppet

_SECONDS = 5.0
_CONNECT = "door = socket.socket(socket.AF_UNIX); door.connect(given['path'])"


class Door:
    """Accepts puppets, in the order in which they knock."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="door-")
        Path(self._folder.name).chmod(0o755)
        self.path = os.path.join(self._folder.name, "door")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        Path(self.path).chmod(0o777)
        peer.prepare(self._listener)
        self._listener.listen()
        self._listener.settimeout(_SECONDS)
        self._open: list[socket.socket | peer.Peer] = [self._listener]

    def knock(self, puppet: Puppet) -> None:
        """Have a puppet connect; its end is called ``door`` there."""
        puppet.do(_CONNECT, path=self.path)

    def accept(self) -> socket.socket:
        """Return the next connection, not looked at yet."""
        connection, _ = self._listener.accept()
        connection.setblocking(False)
        self._open.append(connection)
        return connection

    def look(self, connection: socket.socket) -> peer.Peer:
        """Return who is at the other end."""
        found = peer.Peer(connection)
        self._open.append(found)
        return found

    def let_in(self, puppet: Puppet) -> tuple[peer.Peer, socket.socket]:
        """Have a puppet connect, and look at it."""
        self.knock(puppet)
        connection = self.accept()
        return self.look(connection), connection

    def close(self) -> None:
        """Close everything."""
        for each in self._open:
            each.close()
        self._folder.cleanup()


def receive(caller: peer.Peer, connection: socket.socket) -> bytes:
    """Return what comes next on a connection, as the daemon reads it."""
    assert select.select([connection], [], [], _SECONDS)[0], "nothing came"
    return caller.receive(connection, 65536)


def open_descriptors() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/proc/self/fd"))
