"""What was opened upstream and has to be revoked, even after a crash?

Ids only, never values. One line before a key is made for a lease, with the id of what ends all that
may be made; one with the id of the key itself, synced before it goes out; one when the backend has
revoked it. What has one of the first two and not the last is pending:

    {"lease":"…","backend":"vault","upstream":"…","crc":"<hex>"}
    {"closed":"…","crc":"<hex>"}

Every failure is an `AuditUnavailable`, not a `BackendUnavailable`: what fails is this machine's
disk and not the place where keys come from, and the remedy is the audit log's. ``crc`` finds a
damaged disk, not an attacker: who can write here can also remove the file.
"""

from __future__ import annotations

import fcntl
import json
import os
import zlib
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import Any

from brokerd.files import atomic_write
from brokerd.linefile import LineFile, unavailable
from brokershim.errors import AuditUnavailable, InsecurePath
from brokershim.ownership import make_private_dir, open_private, read_private

_MAX_LINE = 16 * 1024
"""Longest line in bytes; an id that a server chose must not fill the disk."""
_MAX_BYTES = 64 * 1024 * 1024
_COMPACT_LINES = 1024
"""Lines that a journal may have before what is closed is dropped from it."""
_CRC_LENGTH = len(b',"crc":"01234567"}')


@dataclass(frozen=True)
class JournalEntry:
    """Something to revoke.

    Attributes:
        lease: The lease that it was opened for.
        backend: The configured name of the backend that opened it.
        upstream: The backend's id of it; never a key.
    """

    lease: str
    backend: str
    upstream: str


class Journal:
    """The one open journal of a daemon. Not for use by two threads at once.

    Args:
        path: The file; its folder is made if need be.

    Raises:
        AuditUnavailable: It cannot be opened, another process has it open, or it is damaged
            (nothing is overwritten then).
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._open()
        except (OSError, InsecurePath) as error:
            raise self._unavailable(error) from error

    def opened(self, lease_id: str, backend: str, upstream: str) -> None:
        """Put on disk what has to be revoked, before its key goes out.

        Args:
            lease_id: The lease; not one that is open already.
            backend: The backend's configured name.
            upstream: The backend's id of it.

        Raises:
            AuditUnavailable: It is not on disk: revoke it at once, and give out no key.
            ValueError: That lease is open already.
        """
        if lease_id in self._entries:
            raise ValueError("the lease is in the journal already")
        self._write(JournalEntry(lease_id, backend, upstream))

    def amended(self, lease_id: str, upstream: str) -> None:
        """Put on disk what has to be revoked for an open lease, in the place of what was known.

        Raises:
            AuditUnavailable: It is not on disk: what was known before stays pending.
            KeyError: That lease is not open.
        """
        entry = replace(self._entries[lease_id], upstream=upstream)
        self._write(entry)

    def closed(self, lease_id: str) -> None:
        """Note that the backend has revoked it; nothing happens where it is not open.

        Not synced: should it be lost in a crash, it is revoked again, which is no error.

        Raises:
            AuditUnavailable: It could not be noted, and stays pending.
        """
        if lease_id not in self._entries:
            return
        try:
            self._append(_seal({"closed": lease_id}))
        except OSError as error:
            raise self._unavailable(error) from error
        del self._entries[lease_id]

    def holds(self, lease_id: str) -> bool:
        """Return whether a lease is open."""
        return lease_id in self._entries

    def pending(self) -> list[JournalEntry]:
        """Return what was opened and not closed, oldest first.

        Right after the journal was opened, that is what a daemon before this one left.
        """
        return list(self._entries.values())

    def close(self) -> None:
        """Close the journal; another process may then open it. A second time does nothing."""
        self._file.close()
        self._lock.close()

    def _open(self) -> None:
        make_private_dir(os.path.dirname(self._path))
        with ExitStack() as undo:
            # A file of its own, as compaction replaces the journal and any lock on it.
            lock = open_private(f"{self._path}.lock", os.O_RDWR | os.O_CREAT)
            self._lock = os.fdopen(lock, "rb")
            undo.callback(self._lock.close)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            data = read_private(self._path, _MAX_BYTES) or b""
            self._entries = _replay(self._path, data)
            self._lines = len(self._entries)
            if data != _lines_of(self._entries):
                atomic_write(self._path, _lines_of(self._entries))
            self._file = LineFile(self._path)
            undo.pop_all()

    def _write(self, entry: JournalEntry) -> None:
        line = _opened_line(entry)
        if len(line) > _MAX_LINE:
            raise AuditUnavailable(
                f"the id that {entry.backend} gave for a lease is over {_MAX_LINE} bytes",
                hint=f"{entry.backend} does not answer as it should: see `brokerctl doctor`",
            )
        try:
            if self._lines >= max(_COMPACT_LINES, 2 * len(self._entries)):
                self._compact()
            self._append(line)
            self._file.sync()
        except (OSError, InsecurePath) as error:
            raise self._unavailable(error) from error
        self._entries[entry.lease] = entry

    def _append(self, line: bytes) -> None:
        self._file.append(line)
        self._lines += 1

    def _compact(self) -> None:
        """Drop what is closed from the file."""
        atomic_write(self._path, _lines_of(self._entries))
        file = LineFile(self._path)
        self._file.close()
        self._file, self._lines = file, len(self._entries)

    def _unavailable(self, error: OSError | InsecurePath) -> AuditUnavailable:
        return unavailable(f"the journal {self._path}", error)


def _lines_of(entries: dict[str, JournalEntry]) -> bytes:
    return b"".join(_opened_line(entry) for entry in entries.values())


def _opened_line(entry: JournalEntry) -> bytes:
    return _seal(asdict(entry))


def _seal(record: dict[str, str]) -> bytes:
    body = json.dumps(record, separators=(",", ":")).encode()
    return body[:-1] + _crc(body) + b"\n"


def _crc(body: bytes) -> bytes:
    """Return what a line ends in, the checksum of the rest among it."""
    return b',"crc":"%08x"}' % zlib.crc32(body)


def _replay(path: str, data: bytes) -> dict[str, JournalEntry]:
    """Return what is pending by a journal's lines. A torn last line says nothing.

    It was never synced, so the key that it is about never went out.
    """
    entries: dict[str, JournalEntry] = {}
    *lines, torn = data.split(b"\n")
    if len(torn) > _MAX_LINE:
        raise _damaged(f"{path} line {len(lines) + 1}: it has no end")
    for number, line in enumerate(lines, 1):
        try:
            _apply(_unseal(line), entries)
        except ValueError as error:
            raise _damaged(f"{path} line {number}: {error}") from None
    return entries


def _unseal(line: bytes) -> Any:
    body = line[:-_CRC_LENGTH] + b"}"
    if line[-_CRC_LENGTH:] != _crc(body):
        raise ValueError("it does not match its checksum")
    return json.loads(body)


def _apply(record: Any, entries: dict[str, JournalEntry]) -> None:
    match record:
        case {"lease": str(lease), "backend": str(backend), "upstream": str(upstream)} if (
            lease not in entries or entries[lease].backend == backend
        ):
            entries[lease] = JournalEntry(lease, backend, upstream)
        case {"closed": str(lease)} if lease in entries:
            del entries[lease]
        case _:
            raise ValueError("it is out of place")


def _damaged(what: str) -> AuditUnavailable:
    hint = "put back a good copy, or move it aside: what it names then ends when it expires"
    return AuditUnavailable(f"the journal is damaged: {what}", hint=hint)
