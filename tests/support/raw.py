"""A client that keeps none of the wire's rules: it sends the bytes that a test gives it."""

from __future__ import annotations

import json
import socket
from types import TracebackType
from typing import Any

from brokershim.address import address_of

HELLO = b'{"jsonrpc":"2.0","id":0,"method":"hello","params":{"protocol":1,"client":"raw"}}\n'
_SECONDS = 10.0


def request(method: str, number: int | str = 1, **params: Any) -> bytes:
    """Return the line of a well-formed call."""
    call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(call, ensure_ascii=False).encode() + b"\n"


class Raw:
    """One connection."""

    def __init__(self, path: str, *, greeted: bool = True) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(_SECONDS)
        with address_of(path) as address:
            self.socket.connect(address)
        self._lines = self.socket.makefile("rb")
        if greeted:
            self.send(HELLO)
            assert self.reply()["result"]["protocol"] == 1

    def send(self, data: bytes) -> None:
        """Send bytes, as far as the other end takes them."""
        self.socket.sendall(data)

    def reply(self) -> dict[str, Any]:
        """Return the next line; one that is empty says that the connection is over."""
        try:
            line = self._lines.readline()
        except ConnectionError:
            line = b""
        found = json.loads(line or b"{}")
        assert isinstance(found, dict)
        return found

    def kind(self) -> str:
        """Return the kind of the error that comes next, or what else comes."""
        found = self.reply()
        return str(found["error"]["data"]["kind"]) if "error" in found else str(found)

    def is_over(self) -> bool:
        """Return whether the other end has closed it, after what it still had to say."""
        return any(not self.reply() for _ in range(100_000))

    def close(self) -> None:
        """Close it."""
        self._lines.close()
        self.socket.close()

    def __enter__(self) -> Raw:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()
