"""Is the file the store that this process knows, as a holder of its key wrote it last?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from brokerd.store.crypto import is_genuine, mac_of
from brokerd.store.file import Loaded, Stamp, StoreFile
from brokerd.store.format import Document, encode
from brokershim.errors import StoreCorrupted


class _Seen(NamedTuple):
    store: str
    generation: int
    mac: bytes


@dataclass(frozen=True)
class Opened:
    """A store that is vouched for, and the key to its values. Its repr shows no key."""

    document: Document
    raw: bytes | None = field(repr=False)
    """The file that it was read from; None where there is none yet."""
    master: bytes = field(repr=False)


class GenuineFile:
    """The store's file, and the newest of it that this process has read or written.

    Another store in its place, an older copy, or nothing at all is damage, and is never
    overwritten. What was there before this process began is not known: an old copy put back
    while no daemon ran is not noticed.

    Args:
        path: Where the file stands, or will.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = StoreFile(path)
        self._seen: _Seen | None = None
        self._vouched: Loaded | None = None

    def stamp(self) -> Stamp | None:
        """Return what changes with every change of the file; None where there is none.

        Raises:
            BackendUnavailable: It cannot be looked at.
        """
        return self._file.stamp()

    def load(self) -> Loaded | None:
        """Return what the file holds, if it can be the store that this process knows.

        Raises:
            StoreCorrupted: It cannot, or is no store.
            InsecurePath: Others could read or change it.
            BackendUnavailable: It cannot be read.
        """
        loaded, seen = self._file.load(), self._seen
        if seen is not None and loaded is None:
            raise self._corrupted("it is gone")
        if seen is not None and loaded is not None and loaded.parsed.document.id != seen.store:
            raise self._corrupted("another store stands in its place")
        return loaded

    def check(self, loaded: Loaded, master: bytes) -> None:
        """Check what was loaded with the master key.

        Raises:
            StoreCorrupted: It was edited, or is older than what was seen before.
        """
        document, mac = loaded.parsed
        if not is_genuine(master, loaded.parsed):
            raise self._corrupted("it was edited")
        seen = self._seen
        if seen is None or document.generation > seen.generation:
            return
        if document.generation < seen.generation or mac != seen.mac:
            raise self._corrupted("it is an older copy of the store")

    def opened(self, loaded: Loaded, master: bytes) -> Opened:
        """Return the store, checked, and remember it as the newest seen.

        Raises:
            StoreCorrupted: See `check`.
        """
        document, mac = loaded.parsed
        if loaded is not self._vouched:
            self.check(loaded, master)
            self._seen = _Seen(document.id, document.generation, mac)
            self._vouched = loaded
        return Opened(document, loaded.raw, master)

    def write(self, document: Document, before: Opened) -> Opened:
        """Replace what was opened before by a document, as the next generation.

        Raises:
            BackendUnavailable: It cannot be written, or was changed meanwhile.
            InsecurePath: Others could read or change it.
        """
        document = replace(document, generation=before.document.generation + 1)
        mac = mac_of(before.master, document)
        raw = encode(document, mac)
        self._file.replace(raw, before.raw)
        self._seen = _Seen(document.id, document.generation, mac)
        return Opened(document, raw, before.master)

    def _corrupted(self, why: str) -> StoreCorrupted:
        return StoreCorrupted(
            f"{self.path} is damaged: {why}",
            hint="put back the newest good copy; if it was changed on purpose, restart the"
            " daemon: `brokerctl daemon stop`",
        )
