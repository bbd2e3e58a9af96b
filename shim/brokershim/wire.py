"""How are requests, replies and notifications written as bytes? (Pure: no input or output.)

JSON-RPC 2.0 (https://www.jsonrpc.org/specification), one object per line, UTF-8, at most
`MAX_LINE` bytes with the line feed. Batches are not spoken. docs/protocol.md is the reference,
tests/wire_vectors.json the shared examples.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Union, cast

from brokershim.errors import BadRequest, BrokerError, LimitExceeded, MalformedRequest

PROTOCOL = 1
MAX_LINE = 64 * 1024
"""Longest line in bytes, its line feed included."""
_MAX_ID_LENGTH = 64
_FIELDS = {"jsonrpc", "id", "method", "params"}

RequestId = Union[int, str]


class Request(NamedTuple):
    """One call. ``params`` are always named, never positional."""

    id: RequestId
    method: str
    params: dict[str, Any]


def encode(message: dict[str, Any]) -> bytes:
    """Return one line for a message.

    Raises:
        LimitExceeded: The line would be longer than `MAX_LINE`.
    """
    line = _encode(message).encode("ascii") + b"\n"
    if len(line) > MAX_LINE:
        raise LimitExceeded(f"a message of {len(line)} bytes is over the limit of {MAX_LINE}")
    return line


def encode_request(request: Request) -> bytes:
    """Return the line for a call."""
    return encode({"jsonrpc": "2.0", **request._asdict()})


def encode_result(request_id: RequestId, result: Any) -> bytes:
    """Return the line that answers a call."""
    return encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def encode_error(request_id: RequestId | None, error: BrokerError) -> bytes:
    """Return the line that refuses a call; a null id where none could be read."""
    return encode({"jsonrpc": "2.0", "id": request_id, "error": error.to_wire()})


def encode_notification(method: str, params: dict[str, Any]) -> bytes:
    """Return the line for something the daemon says unasked."""
    return encode({"jsonrpc": "2.0", "method": method, "params": params})


def decode(line: bytes) -> dict[str, Any]:
    """Return the one JSON object of a line.

    Raises:
        MalformedRequest: Not UTF-8, not JSON, not an object, a key twice, a number that JSON
            does not have (NaN, Infinity), half a surrogate pair, or nested too deeply.
    """
    try:
        text = line.decode("utf-8")
        value = _decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # a lone surrogate fails here
    except (ValueError, RecursionError):
        # Not chained: a JSONDecodeError carries the whole line, and so perhaps a secret.
        raise MalformedRequest("the line is not one JSON object in UTF-8") from None
    if not isinstance(value, dict):
        raise MalformedRequest("the line is not one JSON object in UTF-8")
    return cast("dict[str, Any]", value)


def request_of(message: dict[str, Any]) -> Request:
    """Return the call that a decoded line is.

    Raises:
        BadRequest: It is not a JSON-RPC 2.0 request with named parameters.
    """
    if not message.keys() <= _FIELDS:
        raise BadRequest("the request has a field that JSON-RPC 2.0 does not know")
    if message.get("jsonrpc") != "2.0":
        raise BadRequest('the request lacks "jsonrpc":"2.0"')
    request_id, method = request_id_of(message), message.get("method")
    params: Any = message.get("params", {})
    if request_id is None:
        raise BadRequest("the request's id is not an integer or a short string")
    if not isinstance(method, str) or not isinstance(params, dict):
        raise BadRequest("the request's method is not text, or its params are not an object")
    return Request(request_id, method, cast("dict[str, Any]", params))


def request_id_of(message: dict[str, Any]) -> RequestId | None:
    """Return a message's id where it has a usable one, to answer even a broken request."""
    value = message.get("id")
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    if isinstance(value, int):
        return value if abs(value) < 2**53 else None
    return value if len(value) <= _MAX_ID_LENGTH else None


class LineBuffer:
    """Cuts a stream of bytes into lines, and refuses one that grows past the limit."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add what arrived and return the lines that are now complete, without line feeds.

        Raises:
            LimitExceeded: A line, complete or not, is over the limit. The stream cannot be
                trusted to be in step after that: close it.
        """
        self._rest += data
        lines: list[bytes] = []
        if b"\n" in data:  # without this, a line sent byte by byte would cost its square
            *lines, rest = bytes(self._rest).split(b"\n")
            self._rest = bytearray(rest)
        if any(len(line) >= self._limit for line in [*lines, self._rest]):
            raise LimitExceeded(f"a line is over the limit of {self._limit} bytes")
        return lines


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice: two readers could then see two different requests."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


# Made once: json.loads and json.dumps would make them anew for every line.
_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).decode
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode
