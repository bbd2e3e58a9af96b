"""What stands between a daemon and its Vault, sees all that they say, and says other things."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from typing import Any

from tests.support.bare_server import read_request

_TOKEN = re.compile(rb"\b(?:hv[bs]|[bs])\.[\w-]{20,}(?:\.\w+)?")


class Tap:
    """Passes requests on to a server; a context manager.

    Args:
        target: The server's ``host:port``.

    Attributes:
        url: Where it listens itself.
        asked: Each request, as it came.
        instead: The raw answers to requests in whose first line the key stands; the server is
            not asked. None for no answer at all, after the server has acted.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.partition(":")
        self._target = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: list[bytes] = []
        self.instead: dict[str, bytes | None] = {}
        self._said: list[bytes] = []
        self._thread = threading.Thread(target=self._serve)

    def tokens(self) -> list[str]:
        """Return every token that anybody has sent so far."""
        found = _TOKEN.findall(b"\n".join([*self.asked, *self._said]))
        return sorted({each.decode() for each in found})

    def __enter__(self) -> Tap:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(accepted,), daemon=True).start()

    def _pass_on(self, accepted: socket.socket) -> None:
        with accepted, contextlib.suppress(OSError):  # either end may hang up, as it is killed
            request = read_request(accepted)
            self.asked.append(request)
            line = request.partition(b"\r\n")[0].decode()
            said = next((each for each in self.instead if each in line), None)
            answer = self.instead[said] if said is not None else None
            if answer is None:
                answer = self._answer_to(request)
            if said is None or self.instead[said] is not None:
                accepted.sendall(answer)

    def _answer_to(self, request: bytes) -> bytes:
        answer = b""
        with socket.create_connection(self._target) as server:
            server.sendall(request)
            while part := server.recv(65536):
                answer += part
        self._said.append(answer)
        return answer


def answer(status: str, document: dict[str, Any], **headers: str) -> bytes:
    """Return an answer as it stands on the wire."""
    body = json.dumps({"request_id": "1", **document}).encode()
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
