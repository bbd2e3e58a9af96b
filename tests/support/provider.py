"""A provider that misbehaves as it is told, and remembers what reached it."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, cast

from demo import shapes

TOKEN_BETA = "oauth-2025-04-20"
"""What Anthropic wants in `anthropic-beta` along with a token."""


class Asked(NamedTuple):
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What to say; a body given in parts is sent chunked."""

    status: int = 200
    body: bytes | list[bytes] = b"{}"
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)


class Misbehave(Exception):
    """Told by an answer function: hang up, after having sent this much."""

    def __init__(self, first: bytes = b"") -> None:
        super().__init__(first)
        self.first = first


_POLL = 0.003
"""Seconds that its end waits at most: there is one for each of a thousand tests."""

Reply = Callable[[Asked], Answer]


class Provider:
    """The server; a context manager.

    Attributes:
        reply: Says what each request is answered with; it may raise `Misbehave`.
        asked: Every request so far.
    """

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.asked: list[Asked] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.provider = self
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL,))

    def __enter__(self) -> Provider:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    provider: Provider

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients hang up on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _do(self) -> None:
        provider = cast(_Server, self.server).provider
        asked = Asked(self.command, self.path, self._headers(), self._body())
        provider.asked.append(asked)
        try:
            self._say(provider.reply(asked))
        except Misbehave as how:
            self.wfile.write(how.first)
            self.close_connection = True
            self._reset()

    do_GET = do_POST = do_PUT = do_HEAD = _do  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Print nothing."""

    def _headers(self) -> dict[str, str]:
        """Return the headers; one that came twice has both values (RFC 9110, section 5.3)."""
        every: dict[str, list[str]] = {}
        for name, value in self.headers.items():
            every.setdefault(name.lower(), []).append(value)
        return {name: ", ".join(values) for name, values in every.items()}

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") == "chunked":
            return b"".join(iter(self._chunk, b""))
        return self.rfile.read(int(self.headers.get("content-length", "0")))

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline(), 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def _say(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        if "date" not in dict(answer.headers):
            self.send_header("date", self.date_time_string())
        for name, value in answer.headers:
            self.send_header(name, value)
        if isinstance(answer.body, bytes):
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
            return
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for part in answer.body:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def _reset(self) -> None:
        """Hang up without the politeness of a FIN."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()


def key_of(asked: Asked) -> str:
    """Return what was sent in the key's place."""
    for header in ("x-api-key", "api-key", "x-goog-api-key"):
        if header in asked.headers:
            return asked.headers[header]
    return asked.headers.get("authorization", "").removeprefix("Bearer ")


def checking(good: set[str]) -> Reply:
    """Return an honest provider, which knows good keys and repeats the others it gets."""

    def reply(asked: Asked) -> Answer:
        key = key_of(asked)
        if key not in good:
            return Answer(401, _json(shapes.openai_refusal(f"Incorrect API key: {key}")))
        return honest(asked)

    return reply


def bearer_only(good: set[str]) -> Reply:
    """Return a provider as Anthropic is to a federated token: in one header, with the beta."""

    def reply(asked: Asked) -> Answer:
        scheme, _, key = asked.headers.get("authorization", "").partition(" ")
        betas = [each.strip() for each in asked.headers.get("anthropic-beta", "").split(",")]
        fits = scheme == "Bearer" and key in good and betas.count(TOKEN_BETA) == 1
        if fits and "x-api-key" not in asked.headers:
            return honest(asked)
        return Answer(401, _json(shapes.openai_refusal(f"not like this: {asked.headers}")))

    return reply


def honest(asked: Asked) -> Answer:
    """Answer as OpenAI or Anthropic would, without a look at the key."""
    path = asked.target.partition("?")[0]
    question = json.loads(asked.body) if asked.body[:1] == b"{" else {}
    stream = bool(question.get("stream"))
    model = str(question.get("model", "m"))
    if path.endswith("/messages"):
        whole, parts = shapes.anthropic_answer, shapes.anthropic_stream
    elif path.endswith("/embeddings"):
        return Answer(200, _json(_EMBEDDING))
    elif path.endswith("/responses"):
        return Answer(200, _json(_RESPONSE))
    elif path.endswith("/transcriptions"):
        return Answer(200, _json({"text": "hello"}))
    else:
        whole, parts = shapes.openai_answer, shapes.openai_stream
    if stream:
        events = (("content-type", "text/event-stream"),)
        return Answer(200, list(parts(model, "hello there")), events)
    return Answer(200, _json(whole(model, "hello there")))


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()


_EMBEDDING = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}
_RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1700000000,
    "status": "completed",
    "model": "gpt-4o",
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "hello there", "annotations": []}],
        }
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
    "usage": {
        "input_tokens": 1,
        "output_tokens": 1,
        "total_tokens": 2,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    },
}
