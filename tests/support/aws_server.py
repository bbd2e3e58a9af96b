"""An AWS in a process of its own: moto's server, with faults in front of it, and a memory.

It says its address on the first line of stdout, and ends when its stdin does. What a test tells it
and asks of it goes to ``/_control/…``, as JSON: see `tests.support.aws`.
"""

from __future__ import annotations

import importlib
import io
import json
import socket
import sys
import threading
from collections.abc import Iterable
from typing import Any

from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from tests.support import aws_mending, aws_sessions
from tests.support.aws_call import Call, call_of
from tests.support.aws_faulty import Faults

_app: Any = importlib.import_module("moto.moto_server.werkzeug_app")  # it carries no types
_CONTROL = "/_control/"
_TYPES = {"secretsmanager": "application/x-amz-json-1.1", "sts": "text/xml"}  # moto says HTML


class Server:
    """The application: what is recorded, spoilt, mended, and then left to moto.

    Attributes:
        calls: Every request so far.
    """

    def __init__(self) -> None:
        self._moto = _app.DomainDispatcherApplication(_app.create_backend_app)
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self.calls: list[Call] = []
        self._faults = Faults()
        self._sessions = aws_sessions.Sessions()
        self._rotations = aws_mending.Rotations()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        request = Request(environ)
        body = request.get_data()
        if request.path.startswith(_CONTROL):
            return self._controlled(request.path.removeprefix(_CONTROL), body)(
                environ, start_response
            )
        call = call_of(request, body)
        with self._lock:
            self.calls.append(call)
            fault = self._faults.next(call)
        answer = self._faults.instead(fault, call) or self._answer(call, environ, body)
        return self._faults.spoil(fault, answer, environ)(environ, start_response)

    def _answer(self, call: Call, environ: dict[str, Any], body: bytes) -> Response:
        with self._lock:
            answer = self._sessions.refusal(call) or self._rotations.answer(call)
        if answer is None:
            environ["wsgi.input"] = io.BytesIO(body)
            answer = Response.from_app(self._moto, environ, buffered=True)
            answer.content_type = _TYPES.get(call.service, answer.content_type)
        with self._lock:
            self._sessions.remember(call, answer)
            aws_mending.mend(call)
        return answer

    def _controlled(self, path: str, body: bytes) -> Response:
        told = json.loads(body) if body else None
        with self._lock:
            answer = getattr(self, f"_do_{path}")(told)
        return Response(json.dumps(answer), mimetype="application/json")

    def _do_calls(self, _: None) -> list[dict[str, Any]]:
        return [vars(each) for each in self.calls]

    def _do_faults(self, told: list[dict[str, Any]]) -> None:
        self._faults.set(told)

    def _do_expire(self, _: None) -> None:
        self._sessions.expire()

    def _do_rotates(self, told: dict[str, str]) -> None:
        self._rotations.expect(**told)

    def _do_forget(self, _: None) -> None:
        self._forget()


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    port: int = listener.getsockname()[1]
    server = make_server(
        "127.0.0.1",
        port,
        Server(),
        threaded=True,
        request_handler=_app.MotoRequestHandler,
        fd=listener.fileno(),
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
