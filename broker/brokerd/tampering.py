"""Who besides root and us could change a file, or put another in its place?"""

from __future__ import annotations

import errno
import os
import stat

from brokershim.ownership import OTHERS_WRITE

_LINKS = 40
"""As many as the kernel follows (path_resolution(7))."""


def open_to_others(path: str) -> str | None:
    """Return the first thing on the way to a file that somebody else could change; None if nothing.

    Every folder on the way is one, and every link: whoever can replace it leads us elsewhere.

    Args:
        path: An absolute path.

    Raises:
        OSError: It leads nowhere, or cannot be followed.
    """
    at, ahead, links = "/", _names(path), 0
    while ahead:
        if _is_open(os.lstat(at)):
            return at
        step = os.path.normpath(os.path.join(at, ahead.pop(0)))
        found = os.lstat(step)
        if not stat.S_ISLNK(found.st_mode):
            at = step
            continue
        if _is_foreign(found):
            return step
        links += 1
        if links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink(step)
        at, ahead = "/" if os.path.isabs(target) else at, [*_names(target), *ahead]
    return at if _is_open(os.lstat(at)) else None


def _names(path: str) -> list[str]:
    return [each for each in path.split("/") if each]


def _is_open(found: os.stat_result) -> bool:
    """Return whether somebody else can change a file, or what is in a folder."""
    folder = stat.S_ISDIR(found.st_mode)
    if folder and found.st_mode & stat.S_ISVTX:
        return False  # as /tmp: nobody can replace what is another's there (unlink(2))
    # Who is in a group that a folder of root is open to, such as /usr/local/bin's, root has said.
    forbidden = stat.S_IWOTH if folder and found.st_uid == 0 else OTHERS_WRITE
    return _is_foreign(found) or bool(found.st_mode & forbidden)


def _is_foreign(found: os.stat_result) -> bool:
    return found.st_uid not in {0, os.geteuid()}
