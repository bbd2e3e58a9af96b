"""The ways in which a provider, or the network to it, can go wrong; the path says which."""

from __future__ import annotations

import base64
import gzip
import json
import threading
from collections.abc import Callable

from tests.support.provider import Answer, Asked, Misbehave, honest, key_of

TEXT = (("content-type", "text/plain"),)
released = threading.Event()
"""Set to let go of those that stall."""


def misbehaving(asked: Asked) -> Answer:
    """Answer as the path says; as an honest provider where it says nothing special."""
    way = WAYS.get(asked.target.split("?")[0].strip("/").split("/")[0])
    return honest(asked) if way is None else way(asked)


def _secret(asked: Asked) -> str:
    """Return the key as it came: in a header, or in the query."""
    return key_of(asked) or asked.target.partition("key=")[2]


def _echo(asked: Asked) -> Answer:
    key = _secret(asked)
    coded = base64.b64encode(f"user:{key}".encode()).decode()
    body = f"wrong key {key}, or {coded}; you sent {asked.headers} to {asked.target}".encode()
    return Answer(401, body, (*TEXT, ("x-your-key", key)))


def _repeat(asked: Asked) -> Answer:
    key = _secret(asked)
    coded = base64.b64encode(f"user:{key}".encode()).decode()
    text = f"wrong key {key}, or {coded}; you sent {asked.headers}"
    return Answer(401, json.dumps({"error": {"message": text}}).encode())


def _zipped(asked: Asked) -> Answer:
    body = gzip.compress(_secret(asked).encode())
    return Answer(500, body, (*TEXT, ("content-encoding", "gzip")))


def _forbidden(asked: Asked) -> Answer:
    return Answer(403, [b"no: ", _secret(asked).encode(), b"!"], TEXT)


def _ok_header(asked: Asked) -> Answer:
    return Answer(200, b"fine", (*TEXT, ("x-your-key", _secret(asked))))


def _redirect(asked: Asked) -> Answer:
    where = asked.target.partition("?to=")[2]
    key = _secret(asked)
    return Answer(307, f"see {key}".encode(), (("location", f"{where}/landed?was={key}"),))


def _no_headers(_: Asked) -> Answer:
    raise Misbehave


def _half_headers(_: Asked) -> Answer:
    raise Misbehave(b"HTTP/1.1 200 OK\r\ncontent-type: te")


def _garbage(asked: Asked) -> Answer:
    raise Misbehave(b"what is " + _secret(asked).encode() + b"?\r\n\r\n")


def _bad_header(asked: Asked) -> Answer:
    raise Misbehave(b"HTTP/1.1 200 OK\r\nx y: " + _secret(asked).encode() + b"\r\n\r\n")


def _half_body(_: Asked) -> Answer:
    raise Misbehave(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nabc")


def _half_chunks(_: Asked) -> Answer:
    raise Misbehave(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nhe")


def _half_error(_: Asked) -> Answer:
    raise Misbehave(b"HTTP/1.1 401 No\r\ncontent-length: 1000\r\n\r\nabc")


def _bad_gzip(_: Asked) -> Answer:
    return Answer(401, b"not gzip at all", (*TEXT, ("content-encoding", "gzip")))


def _reason(asked: Asked) -> Answer:
    key = _secret(asked).encode()
    raise Misbehave(b"HTTP/1.1 400 bad key " + key + b"\r\ncontent-length: 0\r\n\r\n")


def _stall(_: Asked) -> Answer:
    released.wait(30)
    raise Misbehave


WAYS: dict[str, Callable[[Asked], Answer]] = {
    "echo": _echo,
    "repeat": _repeat,
    "zipped": _zipped,
    "forbidden": _forbidden,
    "ok-header": _ok_header,
    "redirect": _redirect,
    "no-headers": _no_headers,
    "half-headers": _half_headers,
    "garbage": _garbage,
    "bad-header": _bad_header,
    "half-body": _half_body,
    "half-chunks": _half_chunks,
    "half-error": _half_error,
    "bad-gzip": _bad_gzip,
    "reason": _reason,
    "stall": _stall,
}
