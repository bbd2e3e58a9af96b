"""What stands in the store's file, and how? (Pure.)

One JSON object, in exactly one spelling: sorted keys, no spaces, one line feed at the end. A file
that says the same in other bytes is refused, so a key that stands twice, or anything else that
two readers could understand differently, cannot get by.

    {"format": 1, "generation": 7, "id": "…", "mac": "…",
     "master_key": {"check": "…", "kdf": null or {"iterations": …, "lanes": …, …, "salt": "…"}},
     "retired": {"old/name": 3},
     "secrets": {"openai/dev": {"hosts": […], "max_ttl": 900.0, "provider": "openai",
                                "versions": [{"created": "…", "number": 1, "sealed": "…"}]}}}

The mac covers all the rest. Bytes are written as base64 (RFC 4648, section 4).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast

FORMAT = 1
_T = TypeVar("_T")


class FormatError(ValueError):
    """The bytes are no store; the text says why, and holds nothing of what they hold."""


@dataclass(frozen=True)
class Version:
    """One value of a secret.

    Attributes:
        number: From 1; a number names the same value for ever.
        created: When, in UTC (RFC 3339).
        sealed: The value, as `brokerd.store.crypto` seals it.
    """

    number: int
    created: str
    sealed: bytes


@dataclass(frozen=True)
class Record:
    """One secret: its description, and its versions from the oldest to the current one."""

    provider: str
    hosts: tuple[str, ...]
    max_ttl: float
    versions: tuple[Version, ...]

    @property
    def current(self) -> Version:
        """The version that is given out."""
        return self.versions[-1]


@dataclass(frozen=True)
class Argon2id:
    """How the master key is made of a passphrase (RFC 9106, section 3.1)."""

    salt: bytes
    iterations: int
    lanes: int
    memory_kib: int


@dataclass(frozen=True)
class Document:
    """The store as a whole.

    Attributes:
        id: Names the store: in the keyring, and in every value that is sealed for it.
        generation: Goes up by one with every write.
        kdf: How a passphrase becomes the master key; None where the keyring holds the key.
        check: Tells whether a master key is the right one.
        secrets: The secrets by name.
        retired: The last version's number of each removed secret, so that none is used again.
    """

    id: str
    generation: int
    kdf: Argon2id | None
    check: bytes
    secrets: Mapping[str, Record]
    retired: Mapping[str, int]


class Parsed(NamedTuple):
    """What a file holds. Nothing of it is to be believed before the mac is checked."""

    document: Document
    mac: bytes


def body(document: Document) -> bytes:
    """Return the bytes that the mac covers."""
    return _canonical(_document_to_json(document))


def encode(document: Document, mac: bytes) -> bytes:
    """Return the bytes of the file."""
    return _canonical({**_document_to_json(document), "mac": _to_text(mac)}) + b"\n"


def decode(raw: bytes) -> Parsed:
    """Return what a file holds.

    Raises:
        FormatError: It holds no store that this version can read.
    """
    try:
        parsed = _parsed(json.loads(raw))
        spelling = encode(*parsed)
    except FormatError:
        raise
    except (ValueError, RecursionError):  # ValueError: UTF-8, JSON, infinite numbers, long ones
        raise FormatError("it is not whole, or not JSON") from None
    if spelling != raw:
        raise FormatError("its bytes are not as they were written")
    return parsed


def _canonical(value: object) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def _document_to_json(document: Document) -> dict[str, Any]:
    kdf = document.kdf
    return {
        "format": FORMAT,
        "generation": document.generation,
        "id": document.id,
        "master_key": {
            "check": _to_text(document.check),
            "kdf": None if kdf is None else {**vars(kdf), "salt": _to_text(kdf.salt)},
        },
        "retired": dict(document.retired),
        "secrets": {name: _record_to_json(record) for name, record in document.secrets.items()},
    }


def _record_to_json(record: Record) -> dict[str, Any]:
    return {
        "provider": record.provider,
        "hosts": list(record.hosts),
        "max_ttl": record.max_ttl,
        "versions": [
            {"number": each.number, "created": each.created, "sealed": _to_text(each.sealed)}
            for each in record.versions
        ],
    }


def _parsed(value: object) -> Parsed:
    if _object(value).get("format") != FORMAT:
        raise FormatError("its format is none that this version of brokerctl knows")
    fields = _fields(value, "format", "generation", "id", "mac", "master_key", "retired", "secrets")
    master_key = _fields(fields["master_key"], "check", "kdf")
    document = Document(
        id=_typed(fields["id"], str),
        generation=_typed(fields["generation"], int),
        kdf=None if master_key["kdf"] is None else _kdf(master_key["kdf"]),
        check=_to_bytes(master_key["check"]),
        secrets=_mapping(fields["secrets"], _record),
        retired=_mapping(fields["retired"], lambda last: _typed(last, int)),
    )
    return Parsed(document, _to_bytes(fields["mac"]))


def _kdf(value: object) -> Argon2id:
    fields = _fields(value, "iterations", "lanes", "memory_kib", "salt")
    return Argon2id(
        salt=_to_bytes(fields["salt"]),
        iterations=_typed(fields["iterations"], int),
        lanes=_typed(fields["lanes"], int),
        memory_kib=_typed(fields["memory_kib"], int),
    )


def _record(value: object) -> Record:
    fields = _fields(value, "hosts", "max_ttl", "provider", "versions")
    versions = tuple(_version(each) for each in _array(fields["versions"]))
    if not versions:
        raise FormatError("it has a secret without a value")
    return Record(
        provider=_typed(fields["provider"], str),
        hosts=tuple(_typed(host, str) for host in _array(fields["hosts"])),
        max_ttl=_typed(fields["max_ttl"], float),
        versions=versions,
    )


def _version(value: object) -> Version:
    fields = _fields(value, "created", "number", "sealed")
    return Version(
        number=_typed(fields["number"], int),
        created=_typed(fields["created"], str),
        sealed=_to_bytes(fields["sealed"]),
    )


def _typed(value: object, kind: type[_T]) -> _T:
    if type(value) is not kind:  # not isinstance: true is no number
        raise FormatError("a value in it is of the wrong kind")
    return value


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", _typed(value, dict))


def _array(value: object) -> list[object]:
    return cast("list[object]", _typed(value, list))


def _fields(value: object, *names: str) -> dict[str, Any]:
    found = _object(value)
    if set(found) != set(names):
        raise FormatError("a field in it is missing, or not known")
    return found


def _mapping(value: object, each: Callable[[object], _T]) -> dict[str, _T]:
    return {name: each(entry) for name, entry in _object(value).items()}


def _to_text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _to_bytes(value: object) -> bytes:
    try:
        return base64.b64decode(_typed(value, str), validate=True)
    except binascii.Error:
        raise FormatError("a value in it is not base64") from None
