"""How is a `Fault` done to a request of a server?"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

from werkzeug.wrappers import Response

from tests.support.aws_call import Call, error
from tests.support.aws_faults import Fault


class Faults:
    """Those that are still to happen, in order."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, Iterator[object]]] = []

    def set(self, told: list[dict[str, Any]]) -> None:
        """Let these happen, in place of those before."""
        found = [Fault(**each) for each in told]
        self._waiting = [(each, iter(range(each.times or 1 << 62))) for each in found]

    def next(self, call: Call) -> Fault | None:
        """Return what happens to a call, which is used up thereby."""
        for fault, turns in self._waiting:
            if fault.action in ("", call.action) and next(turns, None) is not None:
                return fault
        return None

    def instead(self, fault: Fault | None, call: Call) -> Response | None:
        """Return what is answered instead; None where moto is to answer."""
        if fault is None:
            return None
        time.sleep(fault.delay)
        if fault.body is not None:
            return Response(fault.body, fault.status, mimetype="text/html")
        if fault.connection == "drop":
            return Response()
        return error(call, fault.code, fault.message, fault.status) if fault.code else None

    def spoil(self, fault: Fault | None, answer: Response, environ: dict[str, Any]) -> Response:
        """Return the answer as it goes out."""
        if fault is None:
            return answer
        answer.headers.update(fault.headers)
        if fault.connection:
            whole = b"" if fault.connection == "drop" else answer.get_data()
            answer.headers["Content-Length"] = str(len(whole))
            answer.response = _cut(whole, environ["werkzeug.socket"])
        return answer


def _cut(whole: bytes, connection: socket.socket) -> Iterator[bytes]:
    """Give half of a body, and end the connection; of an empty one, not even the headers."""
    if whole:
        yield whole[: len(whole) // 2]
    connection.shutdown(socket.SHUT_RDWR)
    yield b"?"
