"""Who may connect, and how many? Accepts on the socket and keeps the connections."""

from __future__ import annotations

import asyncio
import itertools
import logging
import resource
import socket
from collections import Counter
from collections.abc import Callable, Mapping

from brokerd.connection import Connection, Handler
from brokerd.peer import Peer
from brokershim import wire
from brokershim.errors import BrokerError, ForeignUser, LimitExceeded, PeerGone

MAX_CONNECTIONS = 1024
MAX_PER_PROCESS = 16
IDLE_SECONDS = 120.0
"""How long a connection may stand without a request, unless it holds something."""
_FDS_EACH = 4  # the socket, the pidfd, its copy for a session, the stat file
_FDS_OURS = 64
_ACCEPTS_AT_ONCE = 32
_PAUSE_SECONDS = 0.1
_log = logging.getLogger(__name__)


class Server:
    """The daemon's connections.

    Args:
        listener: The listening socket.
        handler: Carries out a request.
        holds: Whether the connection of that number holds something, and so may stand idle.
        on_close: Called with the number of each connection that is over.
        on_refuse: Called with the reason why a connection was refused.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    def __init__(
        self,
        listener: socket.socket,
        handler: Handler,
        holds: Callable[[int], bool],
        on_close: Callable[[int], None],
        on_refuse: Callable[[BrokerError], None],
        now: Callable[[], float],
    ) -> None:
        self._listener = listener
        self._handler = handler
        self._holds = holds
        self._on_close = on_close
        self._on_refuse = on_refuse
        self._now = now
        self._connections: dict[int, Connection] = {}
        self._by_process: Counter[int] = Counter()
        self._numbers = itertools.count(1)
        self._pause: asyncio.TimerHandle | None = None
        self._most = _room()

    def __len__(self) -> int:
        """Return how many connections are open."""
        return len(self._connections)

    def start(self) -> None:
        """Begin to accept."""
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)

    def stop(self) -> None:
        """Accept no more; what is open goes on."""
        if self._pause is not None:
            self._pause.cancel()
        asyncio.get_running_loop().remove_reader(self._listener.fileno())

    def close(self) -> None:
        """Close what is open."""
        for connection in list(self._connections.values()):
            connection.close()

    def notify(self, number: int, method: str, params: Mapping[str, str]) -> None:
        """Say something unasked on a connection, if it still stands."""
        connection = self._connections.get(number)
        if connection is not None:
            connection.notify(method, dict(params))

    def close_idle(self) -> None:
        """Close what has asked nothing for too long: a slow or stalled client takes a place."""
        limit = self._now() - IDLE_SECONDS
        for connection in list(self._connections.values()):
            if connection.active_at < limit and not self._holds(connection.number):
                connection.refuse(LimitExceeded(f"nothing asked for {IDLE_SECONDS:.0f} s"))

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_AT_ONCE):
            try:
                connection, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._out_of_descriptors(error)
                return
            connection.setblocking(False)
            self._admit(connection)

    def _admit(self, sock: socket.socket) -> None:
        """Refuse another user before its first byte is read, and a flood before it costs."""
        try:
            peer = Peer(sock)
        except (ForeignUser, PeerGone) as error:
            self._on_refuse(error)
            _say(sock, error)
            return
        except OSError as error:
            _log.warning("a connection could not be looked at: %s", error.strerror)
            sock.close()
            return
        if self._by_process[peer.pid] >= MAX_PER_PROCESS:
            peer.close()
            _say(sock, LimitExceeded(f"a process may have {MAX_PER_PROCESS} connections"))
            return
        if len(self._connections) >= self._most and not self._make_room():
            peer.close()
            _say(sock, LimitExceeded(f"{self._most} connections are open"))
            return
        self._add(sock, peer)

    def _add(self, sock: socket.socket, peer: Peer) -> None:
        number = next(self._numbers)
        self._by_process[peer.pid] += 1
        self._connections[number] = Connection(
            number, sock, peer, self._handler, self._forget, self._now
        )

    def _forget(self, connection: Connection) -> None:
        del self._connections[connection.number]
        pid = connection.peer.pid
        self._by_process[pid] -= 1
        if not self._by_process[pid]:
            del self._by_process[pid]
        self._on_close(connection.number)

    def _make_room(self) -> bool:
        """Close the connection that has been idle longest, among those that hold nothing."""
        idle = (each for each in self._connections.values() if not self._holds(each.number))
        oldest = min(idle, key=lambda each: each.active_at, default=None)
        if oldest is None:
            return False
        oldest.refuse(LimitExceeded("closed to make room for another connection"))
        return True

    def _out_of_descriptors(self, error: OSError) -> None:
        """Make room; or wait, for a listener that stays readable would spin."""
        _log.warning("cannot accept: %s", error.strerror)
        if not self._make_room():
            self.stop()
            self._pause = asyncio.get_running_loop().call_later(_PAUSE_SECONDS, self.start)


def _room() -> int:
    """Return how many connections fit into this process's descriptors, after raising the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS * _FDS_EACH + _FDS_OURS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return min(MAX_CONNECTIONS, (wanted - _FDS_OURS) // _FDS_EACH)


def _say(sock: socket.socket, error: BrokerError) -> None:
    """Send the reason, as far as it goes out at once, and close."""
    try:
        sock.send(wire.encode_error(None, error))
    except OSError:
        _log.debug("a refused client was gone before it heard why")
    finally:
        sock.close()
