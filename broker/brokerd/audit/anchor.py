"""Where did the log end when it was last synced? (The file ``head``.)

Without it, nobody could tell a log whose last lines were removed from one that never had them.
It is written after the lines that it names are on disk, and not synced itself: it is what a
killed daemon last wrote, and after a power cut it may be older than the log, never newer.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re

from brokerd.audit.line import START, AuditHead
from brokerd.audit.segments import numbers
from brokerd.linefile import sync_folder
from brokershim.errors import AuditUnavailable
from brokershim.ownership import open_private

NAME = "head"
_FORMAT = re.compile(rb"([0-9]{20}) ([0-9a-f]{64})\n")
_LIMIT = 128
"""Bytes read of the file; a good one has fewer."""


class Anchor:
    """The anchor of a log, and the lock that lets only one process write that log.

    Attributes:
        head: Where the log stood when the anchor was opened.

    Raises:
        AuditUnavailable: It is damaged; or there are lines, and it is missing.
        InsecurePath: See `brokershim.ownership.open_private`.
        BlockingIOError: Another process holds it.
        OSError: It cannot be opened.
    """

    def __init__(self, folder: str) -> None:
        self._path = os.path.join(folder, NAME)
        # Made only where there is no line yet: elsewhere it was removed, and that is evidence.
        fresh = not numbers(folder)
        try:
            self._fd = open_private(self._path, os.O_RDWR | (os.O_CREAT if fresh else 0))
        except FileNotFoundError:
            raise damaged(self._path, "it is missing") from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if fresh and not os.fstat(self._fd).st_size:
                self._begin(folder)
            self.head = self._read()
        except BaseException:
            os.close(self._fd)
            raise

    def write(self, head: AuditHead) -> None:
        """Note where the log stands now, in place.

        Raises:
            OSError: It was removed, or cannot be written.
        """
        if os.fstat(self._fd).st_nlink == 0:  # the next start would find no anchor at all
            raise OSError(errno.ESTALE, "another program removed it", self._path)
        os.pwrite(self._fd, b"%020d %b\n" % (head.seq, head.hash.encode()), 0)

    def close(self) -> None:
        """Close the file, and so let go of the lock; a second time does nothing."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _begin(self, folder: str) -> None:
        self.write(START)
        os.fsync(self._fd)
        sync_folder(folder)

    def _read(self) -> AuditHead:
        head = _parse(os.pread(self._fd, _LIMIT, 0))
        if head is None:
            raise damaged(self._path, "it does not say where the log ends")
        return head


def read_anchor(folder: str) -> AuditHead | None:
    """Return where the log stands by its anchor, while a daemon may be writing it.

    Returns:
        None where the anchor is damaged.

    Raises:
        InsecurePath: It is a link, another user's, or no file. Loose modes are let pass.
        OSError: It is missing or unreadable.
    """
    fd = open_private(os.path.join(folder, NAME), forbidden=0)
    try:
        data = b""
        while data != (again := os.pread(fd, _LIMIT, 0)):  # half of one write, half of the next
            data = again
    finally:
        os.close(fd)
    return _parse(data)


def damaged(where: str, what: str) -> AuditUnavailable:
    """Return the error of a log that must not be written to, as it may be evidence."""
    hint = "see `brokerctl audit verify`, then move the audit folder aside and keep it as evidence"
    return AuditUnavailable(f"the audit log is damaged: {where}: {what}", hint=hint)


def _parse(data: bytes) -> AuditHead | None:
    found = _FORMAT.fullmatch(data)
    if found is None:
        return None
    return AuditHead(int(found[1]), found[2].decode())
