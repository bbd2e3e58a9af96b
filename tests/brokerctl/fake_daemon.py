"""A daemon that answers what the test says, over a real socket and in the real wire format."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from brokershim import wire
from brokershim.errors import BrokerError, UnknownMethod

Answer = dict[str, Any] | BrokerError | Callable[[dict[str, Any]], dict[str, Any]]
_USUAL: dict[str, Answer] = {"daemon.status": {"config_changed": False}}


class FakeDaemon:
    """Listens on a path until closed.

    Attributes:
        answers: What each method is answered: a result, an error, or a function of the params.
        calls: Every call but the greeting, in order.
    """

    def __init__(self, path: str, answers: Mapping[str, Answer]) -> None:
        self.answers = dict(answers)
        self.calls: list[tuple[str, dict[str, Any]]] = []
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen()
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """End every connection and thread."""
        for each in [self._listener, *self._connections]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in [self._listener, *self._connections]:
            each.close()

    def params(self, method: str) -> list[dict[str, Any]]:
        """Return the params of each call of a method."""
        return [params for name, params in self.calls if name == method]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # Who hangs up before the answer comes does not get it.
        with connection.makefile("rb") as lines, contextlib.suppress(ConnectionError):
            for line in lines:
                connection.sendall(self._answer(wire.request_of(wire.decode(line))))

    def _answer(self, request: wire.Request) -> bytes:
        if request.method == "hello":
            return wire.encode_result(request.id, {"protocol": 1, "server": "fake/0"})
        self.calls.append((request.method, request.params))
        answers = {**_USUAL, **self.answers}
        answer = answers.get(request.method, UnknownMethod(f"no {request.method}"))
        try:
            result = answer(request.params) if callable(answer) else answer
        except BrokerError as error:
            result = error
        if isinstance(result, BrokerError):
            return wire.encode_error(request.id, result)
        return wire.encode_result(request.id, result)
