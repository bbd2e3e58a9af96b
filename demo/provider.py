"""What does a provider of models do with a key? A small HTTP server on loopback that does it.

It speaks OpenAI's chat completions and Anthropic's messages, whole and streamed, checks the key,
can be given another one at any time, and, as careless providers do, repeats a key that it refuses.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self, cast

from demo import shapes

REFUSED_MODEL = "out-of-bounds"
"""A model that no key may use: asking for it is answered with a 401."""


class _Api(NamedTuple):
    """One provider's way to speak: the headers of its key, and the makers of its answers."""

    name: str
    headers: tuple[str, ...]
    answer: Callable[[str, str], shapes.Json]
    stream: Callable[[str, str], Iterator[bytes]]
    refusal: Callable[[str], shapes.Json]


_APIS = {
    "/v1/chat/completions": _Api(
        "openai",
        ("authorization",),
        shapes.openai_answer,
        shapes.openai_stream,
        shapes.openai_refusal,
    ),
    "/v1/messages": _Api(
        "anthropic",
        ("x-api-key", "authorization"),  # LiteLLM sends the one, Anthropic's SDK the other
        shapes.anthropic_answer,
        shapes.anthropic_stream,
        shapes.anthropic_refusal,
    ),
}


class Asked(NamedTuple):
    """One request as it came in. Its repr shows no key.

    Attributes:
        provider: ``openai`` or ``anthropic``.
        accepted: Whether the key was good.
        key: What was sent in the key's place.
    """

    provider: str
    accepted: bool
    key: str

    def __repr__(self) -> str:
        """Show no key."""
        return f"Asked({self.provider!r}, accepted={self.accepted})"


class Provider:
    """The server; a context manager that serves as long as it is entered.

    Args:
        keys: A good key of each provider, ``openai`` and ``anthropic``.
        waiting: Called with how many requests were accepted so far, while the client waits
            for the answer of the newest.
    """

    def __init__(self, keys: dict[str, str], waiting: Callable[[int], None] | None = None) -> None:
        self._good = {provider: [key] for provider, key in keys.items()}
        self._known = {provider: [key] for provider, key in keys.items()}
        self._waiting = waiting
        self.asked: list[Asked] = []
        """Every request so far, in order."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.provider = self
        self.host = f"127.0.0.1:{self._server.server_port}"
        """Where it listens, as ``host:port``."""
        self.url = f"http://{self.host}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def accept(self, provider: str, key: str) -> None:
        """Take one more key."""
        self._good[provider].append(key)
        self._known[provider].append(key)

    def rotate(self, provider: str, key: str) -> None:
        """Take one key, and from now on no other."""
        self._good[provider].clear()
        self.accept(provider, key)

    def judge(self, provider: str, model: str, key: str) -> str | None:
        """Take in a request, and return what is answered; None if its key is refused."""
        good = key in self._good[provider] and model != REFUSED_MODEL
        self.asked.append(Asked(provider, good, key))
        if not good:
            return None
        number = self._known[provider].index(key) + 1
        if self._waiting is not None:
            self._waiting(sum(each.accepted for each in self.asked))
        return f"Hello from {provider}, your key no. {number} is good."


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    provider: Provider

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that hung up: tests do that on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as with real providers
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        """Answer a question, if the key is good."""
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        api = _APIS.get(self.path)
        if api is None:
            self._reply(404, {"error": {"message": "no such path"}})
            return
        question = json.loads(body)
        model, key = str(question["model"]), self._key(api)
        text = cast(_Server, self.server).provider.judge(api.name, model, key)
        if text is None:
            self._reply(401, api.refusal(f"Incorrect API key provided: {key}"))
        elif question.get("stream"):
            self._stream(api.stream(model, text))
        else:
            self._reply(200, api.answer(model, text))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class's name)
        """Print nothing."""

    def _key(self, api: _Api) -> str:
        found = (self.headers.get(name, "") for name in api.headers)
        return next(filter(None, found), "").removeprefix("Bearer ")

    def _reply(self, status: int, document: shapes.Json) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, parts: Iterator[bytes]) -> None:
        """Send parts as they come (RFC 9112, section 7.1)."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for part in parts:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
