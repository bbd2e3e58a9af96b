"""How is a line added to a file so that it is there whole, or not at all?

The audit log and the journal both stand on this. What such a file holds is known at each
moment: whole lines up to `LineFile.size`, and those of the last `LineFile.sync` on disk. After
a failure the file is cut back before anything is added, so nothing ever follows half a line.
"""

from __future__ import annotations

import errno
import fcntl
import os

from brokershim.errors import AuditUnavailable, InsecurePath
from brokershim.ownership import open_private

# macOS has no fdatasync, and its fsync(2) leaves data in the drive's cache: F_FULLFSYNC does not.
_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)
_DATA_SYNC = getattr(os, "fdatasync", os.fsync)

_MEDDLED = (errno.ENOENT, errno.EEXIST, errno.ESTALE)
_UNDO = "put the file back as it was, or restart the daemon: `brokerctl daemon stop`"


class LineFile:
    """A file of lines, open to append. Not for use by two threads at once.

    Args:
        path: The file; made with mode 0600 where there is none.
        keep: How many of its bytes are whole lines; what follows is cut off. All if not given.

    Attributes:
        size: Bytes of whole lines.

    Raises:
        InsecurePath: See `brokershim.ownership.open_private`.
        OSError: It cannot be opened or cut.
    """

    def __init__(self, path: str, keep: int | None = None) -> None:
        self._path = path
        self._fd = open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            found = os.fstat(self._fd)
            self._file = (found.st_dev, found.st_ino)
            self._end = found.st_size
            self._torn = False
            self.size = self._synced = self._end if keep is None else keep
            if not self._end:
                sync_folder(os.path.dirname(path))  # else a power cut takes the name away again
            self._mend()
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, line: bytes) -> None:
        """Add a line with its line feed, in one write(2).

        Raises:
            OSError: It was not added.
        """
        if self._torn:
            self._mend()
        written = os.write(self._fd, line)
        self._end += written
        if written != len(line):
            self._torn = True
            self._mend()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        self.size = self._end

    def sync(self) -> None:
        """Wait until every line is on disk.

        Raises:
            OSError: The lines added since the last sync are not in the file. They are cut off,
                as the kernel may have dropped them and would call the next sync a success.
        """
        try:
            if self._torn:
                self._mend()
            self._check_unchanged()
            sync_data(self._fd)
        except OSError:
            self.size, self._torn = self._synced, True
            raise
        self._synced = self.size

    def close(self) -> None:
        """Close the file without a sync; a second time does nothing."""
        fd, self._fd = self._fd, -1  # a number kept would soon be another file's
        if fd >= 0:
            os.close(fd)

    def _mend(self) -> None:
        """Cut off what follows the whole lines."""
        self._check_unchanged()
        if self._end != self.size:
            os.ftruncate(self._fd, self.size)
        self._end, self._torn = self.size, False

    def _check_unchanged(self) -> None:
        """Refuse a file that was removed, replaced, cut or written to by someone else.

        Lines added to a removed file would be gone with its descriptor.
        """
        found = os.stat(self._path, follow_symlinks=False)
        if (found.st_dev, found.st_ino) != self._file or found.st_size != self._end:
            raise OSError(errno.ESTALE, "another program replaced or changed it", self._path)


def sync_data(fd: int) -> None:
    """Wait until a file's data is on the disk itself; fdatasync(2), on macOS fcntl(2).

    Raises:
        OSError: It may not be.
    """
    if _FULL_SYNC is None:
        _DATA_SYNC(fd)
    else:
        fcntl.fcntl(fd, _FULL_SYNC)


def sync_folder(path: str) -> None:
    """Wait until the names in a folder are on disk; see fsync(2).

    Raises:
        OSError: They may not be.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def unavailable(what: str, error: OSError | InsecurePath) -> AuditUnavailable:
    """Return the one error that a failure to open, lock, read or write ``what`` becomes."""
    if isinstance(error, InsecurePath):
        return AuditUnavailable(error.message, hint=error.hint)
    if isinstance(error, BlockingIOError):  # flock(2), LOCK_NB
        hint = "stop the other daemon: `brokerctl daemon stop`"
        return AuditUnavailable(f"another process has {what} open", hint=hint)
    reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    remedy = _UNDO if error.errno in _MEDDLED else None
    return AuditUnavailable(f"{what} cannot be used: {reason}", hint=remedy)
