"""What stands between a daemon and a server, and fails as networks do."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from types import TracebackType
from typing import Literal

State = Literal["up", "away", "deaf", "hanging"]
_CHUNK = 65536
_SECONDS = 30.0


class Between:
    """Passes TCP connections on to a server; a context manager.

    Args:
        target: The server's ``host:port``.
        losing: What stands in the requests whose answers are lost when it is deaf.

    Attributes:
        address: Where it listens itself, as ``host:port``.
        state: ``up``; ``away``: it refuses connections; ``deaf``: some requests reach the server,
            and their answers nobody; ``hanging``: nothing happens.
    """

    def __init__(self, target: str, losing: tuple[bytes, ...]) -> None:
        host, _, port = target.partition(":")
        self._target = host, int(port)
        self.state: State = "up"
        self._losing = losing
        self._healed = threading.Event()
        self._listener = self._listen(0)
        self._port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self._port}"

    def turn(self, state: State) -> None:
        """Be in another state from now on; what hangs then ends."""
        if state == self.state:
            return
        before, self.state = self.state, state
        self._healed.set()
        self._healed = threading.Event()
        if state == "away":
            self._stop()
        elif before == "away":
            self._listener = self._listen(self._port)

    def __enter__(self) -> Between:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.turn("away")

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # which wakes who accepts
        self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        state, healed = self.state, self._healed
        with client, contextlib.suppress(OSError):
            if state == "hanging":
                healed.wait(_SECONDS)
                return
            with socket.create_connection(self._target, _SECONDS) as server:
                _pass(client, server, self._losing if state == "deaf" else ())


def _pass(client: socket.socket, server: socket.socket, losing: tuple[bytes, ...]) -> None:
    """Pass bytes both ways until one of them ends, or the server answers and nobody is to hear."""
    deaf = False
    while True:
        readable, _, _ = select.select([client, server], [], [], _SECONDS)
        for each in readable:
            data = each.recv(_CHUNK)
            if not data or (deaf and each is server):
                return
            deaf = deaf or any(each in data for each in losing)
            (server if each is client else client).sendall(data)
