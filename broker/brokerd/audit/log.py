"""How is an event put on record before anything is given out?"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import ExitStack

from brokerd.audit import line, segments
from brokerd.audit.anchor import Anchor
from brokerd.audit.line import AuditHead, Field
from brokerd.audit.tail import find_end
from brokerd.linefile import LineFile, unavailable
from brokershim.errors import AuditUnavailable, InsecurePath
from brokershim.ownership import make_private_dir

MAX_BYTES = 16 * 1024 * 1024
"""How large a file grows before the next is begun, in bytes."""


class AuditLog:
    """The one open log of a daemon. Not for use by two threads at once.

    Args:
        folder: Where its files stand; made if need be.
        max_bytes: How large a file grows before the next is begun.
        wall_clock: Returns seconds since the epoch.

    Raises:
        AuditUnavailable: It cannot be opened, another process has it open, or its end is
            damaged (nothing is overwritten then).
    """

    _head: AuditHead
    _synced: AuditHead

    def __init__(
        self,
        folder: str,
        max_bytes: int = MAX_BYTES,
        *,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._wall_clock = wall_clock
        self._lost: OSError | None = None
        try:
            self._open()
        except (OSError, InsecurePath) as error:
            raise self._unavailable(error) from error

    @property
    def head(self) -> AuditHead:
        """Where the log stands on disk: at its last synced event."""
        return self._synced

    def append(self, event: str, **fields: Field) -> AuditHead:
        """Add an event; nothing may be given out for it before `sync`.

        Args:
            event: Such as ``lease.granted``.
            fields: Names, ids, paths, numbers, reasons; never a key. Text over
                `brokerd.audit.line.MAX_TEXT` characters loses its middle.

        Returns:
            Where the log stands with it.

        Raises:
            AuditUnavailable: It was not added.
            ValueError, TypeError: A field cannot be written; see `brokerd.audit.line.seal`.
        """
        sealed, head = line.seal(self._head, self._wall_clock(), event, fields)
        try:
            if self._file.size and self._file.size + len(sealed) > self._max_bytes:
                self._next_file()
            self._file.append(sealed)
        except (OSError, InsecurePath) as error:
            raise self._unavailable(error) from error
        self._head = head
        return head

    def sync(self) -> None:
        """Wait until every event is on disk.

        Raises:
            AuditUnavailable: The events since the last sync are not on record.
        """
        try:
            if self._lost is not None:  # while changing files
                raise self._lost
            self._sync()
        except OSError as error:
            self._lost = None
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Sync and close the log; another process may then open it. A second time does nothing.

        Raises:
            AuditUnavailable: It is closed, but its last events are not on record.
        """
        try:
            self.sync()
        finally:
            self._file.close()
            self._anchor.close()

    def _open(self) -> None:
        make_private_dir(self._folder)
        with ExitStack() as undo:
            self._anchor = Anchor(self._folder)
            undo.callback(self._anchor.close)
            end = find_end(self._folder, self._anchor.head)
            path = segments.path_of(self._folder, end.number)
            self._number = end.number
            self._file = LineFile(path, keep=end.whole)
            undo.callback(self._file.close)
            self._head, self._synced = end.head, self._anchor.head
            if end.torn:
                self.append("audit.recovered", file=os.path.basename(path), bytes=end.torn)
            self._sync()
            undo.pop_all()

    def _sync(self) -> None:
        if self._head == self._synced:
            return
        try:
            self._file.sync()
        except OSError as error:
            self._head = self._synced  # where the file is cut back to
            self._lost = error  # those whose events it took may be waiting for another sync
            raise
        self._synced = self._head
        self._anchor.write(self._synced)

    def _next_file(self) -> None:
        """Begin the next file; all of the last one is on disk by then."""
        self._sync()
        path = segments.path_of(self._folder, self._number + 1)
        file = LineFile(path)
        if file.size:
            file.close()
            raise OSError(errno.EEXIST, "another program made the next file", path)
        self._file.close()
        self._number, self._file = self._number + 1, file

    def _unavailable(self, error: OSError | InsecurePath) -> AuditUnavailable:
        return unavailable(f"the audit log in {self._folder}", error)
