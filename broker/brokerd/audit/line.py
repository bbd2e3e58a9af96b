"""How is one event written as a line that seals the one before? (Pure.)

    {"seq":2,"time":"2026-11-23T06:47:00.123456Z","event":"…",…,"prev":"<hex>","hash":"<hex>"}

``hash`` is the SHA-256 (FIPS 180-4) of the line without its ``hash`` member, ``prev`` the hash of
the line before. It covers the bytes as they stand, so there is no second way to write a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar, cast

from brokershim import wire
from brokershim.errors import MalformedRequest

MAX_LINE = 4096
"""Longest line in bytes, its line feed included."""
MAX_TEXT = 512
"""Longest text in a field, in characters; a longer one loses its middle."""

_T = TypeVar("_T")
Scalar = str | int | float | bool | None
Field = Scalar | Sequence[Scalar] | Mapping[str, Scalar]

_ELLIPSIS = "…"
_OWN_NAMES = frozenset({"seq", "time", "event", "prev", "hash"})
_SEAL = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
_SEAL_LENGTH = len(b',"hash":""}') + 64
_MAX_BODY = MAX_LINE - _SEAL_LENGTH
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class AuditHead(NamedTuple):
    """Where the log stands: its last line's seq and hash."""

    seq: int
    hash: str


START = AuditHead(0, "0" * 64)
"""Where an empty log stands."""


def seal(
    before: AuditHead, at: float, event: str, fields: Mapping[str, Field]
) -> tuple[bytes, AuditHead]:
    """Return the line of an event, and where the log stands with it.

    Args:
        before: Where the log stands.
        at: When it happened, in seconds since the epoch.
        event: Such as ``lease.granted``.
        fields: The event's own fields.

    Raises:
        ValueError: A field takes one of the chain's own names, is not a finite number, or there
            are too many of them for a line.
        TypeError: A field is of another type.
    """
    if not _OWN_NAMES.isdisjoint(fields):
        raise ValueError("a field has a name that the chain uses itself")
    seq = before.seq + 1
    first = {"seq": seq, "time": _timestamp(at), "event": event}
    body = _encode({**first, **fields, "prev": before.hash}).encode()
    # A line this short has no text to cut; \ud begins half a surrogate pair (or a whole one).
    if len(body) > MAX_TEXT or b"\\ud" in body:
        body = _cut_to_fit(first, fields, before.hash)
    digest = sha256(body).hexdigest()
    return b'%b,"hash":"%b"}\n' % (body[:-1], digest.encode()), AuditHead(seq, digest)


def unseal(line: bytes) -> dict[str, Any]:
    """Return a line's event. Whether the line is in its place is not looked at.

    Args:
        line: A line without its line feed.

    Raises:
        ValueError: It is not what `seal` wrote.
    """
    found = _SEAL.fullmatch(line, max(0, len(line) - _SEAL_LENGTH))
    if found is None or len(line) >= MAX_LINE:
        raise ValueError("it does not end as an event does")
    if sha256(line[: found.start()] + b"}").hexdigest() != found[1].decode():
        raise ValueError("it does not match its own hash")
    try:
        event = wire.decode(line)
    except MalformedRequest:
        raise ValueError("it is not one JSON object") from None
    if not isinstance(event.get("prev"), str) or type(event.get("seq")) is not int:
        raise ValueError("it has no seq or prev")
    return event


def _timestamp(at: float) -> str:
    """Return a time as RFC 3339 writes it, in UTC, with microseconds."""
    second = int(at)
    return f"{_whole_second(second)}.{int((at - second) * 1_000_000):06d}Z"


@lru_cache(maxsize=1)  # most events share a second with the one before
def _whole_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _cut_to_fit(first: dict[str, Any], fields: Mapping[str, Field], prev: str) -> bytes:
    """Return a line's body with long fields cut, and cut harder until it fits.

    Otherwise a caller with a long enough path could keep its own events out of the log.
    """
    for limit in (MAX_TEXT, 128, 32, 8):
        cut = {name: _cut(value, limit) for name, value in fields.items()}
        body = _encode({**first, **cut, "prev": prev}).encode()
        if len(body) <= _MAX_BODY:
            return body
    raise ValueError("the event has too many fields for a line")


def _cut(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return _cut_text(value, limit)
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        cut = [(_cut_text(name, limit), _cut(item, limit)) for name, item in pairs]
        return dict(_few(cut, limit, (_ELLIPSIS, None)))
    if isinstance(value, (list, tuple)):
        return _few([_cut(item, limit) for item in cast("list[Any]", value)], limit, _ELLIPSIS)
    return value


def _cut_text(text: str, limit: int) -> str:
    """Return a text with its middle cut: the end of a path says more than its middle.

    A path need not be UTF-8, and Python then holds half surrogate pairs, which strict readers of
    JSON refuse: they come out as backslash escapes.
    """
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= limit:
        return text
    return text[: limit // 2] + _ELLIPSIS + text[1 - limit // 2 :]


def _few(items: list[_T], limit: int, mark: _T) -> list[_T]:
    most = limit // 16
    return items if len(items) <= most else [*items[:most], mark]
