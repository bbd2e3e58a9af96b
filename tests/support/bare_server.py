"""A server that says, byte by byte, what a test tells it to; over TLS if it is given a context."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable

Talk = Callable[[socket.socket], None]


class BareServer:
    """Reads each request whole, then does what it was told; a context manager.

    Attributes:
        connections: How many there have been.
        asked: Each request, as it came.
        over: Set as it ends; a talk that goes on for long looks at it.
    """

    def __init__(self, talk: Talk, context: ssl.SSLContext | None = None) -> None:
        self._talk, self._context = talk, context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"{'http' if context is None else 'https'}://{self.host}/token"
        self.connections = 0
        self.asked: list[bytes] = []
        self.over = threading.Event()
        self._threads = [threading.Thread(target=self._serve)]

    def __enter__(self) -> BareServer:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._answer, args=(accepted,))
            self._threads.append(thread)
            thread.start()

    def _answer(self, accepted: socket.socket) -> None:
        try:
            with self._secured(accepted) as talking:
                self.asked.append(read_request(talking))
                self._talk(talking)
        except OSError:
            return  # the other end has hung up, as it should

    def _secured(self, accepted: socket.socket) -> socket.socket:
        accepted.settimeout(10)
        if self._context is None:
            return accepted
        return self._context.wrap_socket(accepted, server_side=True)


def read_request(talking: socket.socket) -> bytes:
    """Return a request, whole."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = talking.recv(65536)
        if not part:
            return data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(body) < int(lines.get(b"content-length", b"0")):
        body += talking.recv(65536)
    return head + b"\r\n\r\n" + body
