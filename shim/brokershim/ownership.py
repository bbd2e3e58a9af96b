"""Is this file or folder ours alone?

A file is looked at through its open descriptor, so that what was checked is what is used (no race
between the look and the use). Each open refuses a symbolic link (O_NOFOLLOW, open(2)).
"""

from __future__ import annotations

import contextlib
import os
import stat

from brokershim.errors import InsecurePath

OTHERS = 0o077
"""Permission bits that let anyone else read, write or enter."""
OTHERS_WRITE = 0o022
"""Permission bits that let anyone else write."""


def make_private_dir(path: str) -> None:
    """Make a folder with mode 0700, its parents too, and check it.

    Raises:
        InsecurePath: It exists and is a link, another user's, or open to others.
        OSError: It cannot be made.
    """
    parent = os.path.dirname(path)
    if not os.path.isdir(parent):
        make_private_dir(parent)  # os.makedirs gives its mode to the last folder only
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    check_private_dir(path)


def check_private_dir(path: str) -> None:
    """Check that a folder is ours, is no link, and is closed to others.

    Raises:
        InsecurePath: It is not.
        OSError: It is not there, or cannot be looked at.
    """
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise InsecurePath(f"{path} is not a folder of its own (a link is refused)")
    _check(path, found, OTHERS)


def open_private(path: str, flags: int = os.O_RDONLY, forbidden: int = OTHERS) -> int:
    """Open a regular file that is ours, is no link, and is closed to others.

    Args:
        path: The file; one that `flags` creates gets mode 0600.
        flags: As in open(2); O_NOFOLLOW, O_NONBLOCK and O_CLOEXEC are added.
        forbidden: The permission bits that must not be set.

    Returns:
        The descriptor, which the caller closes.

    Raises:
        InsecurePath: A link, another user's, loose, or not a regular file.
        OSError: It cannot be opened.
    """
    try:
        # O_NONBLOCK: a named pipe laid in the file's place must not hang us.
        fd = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if os.path.islink(path):
            raise InsecurePath(f"{path} is a symbolic link") from error
        raise
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise InsecurePath(f"{path} is not a regular file")
        _check(path, found, forbidden)
    except BaseException:
        os.close(fd)
        raise
    return fd


def read_private(path: str, limit: int, forbidden: int = OTHERS) -> bytes | None:
    """Return a private file's bytes, or None where there is no such file.

    Raises:
        InsecurePath: See `open_private`; also a file over ``limit`` bytes.
        OSError: It cannot be read.
    """
    try:
        fd = open_private(path, forbidden=forbidden)
    except FileNotFoundError:
        return None
    with os.fdopen(fd, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise InsecurePath(f"{path} is over {limit} bytes", hint="is it the file you meant?")
    return data


def _check(path: str, found: os.stat_result, forbidden: int) -> None:
    if found.st_uid != os.geteuid():
        raise InsecurePath(f"{path} belongs to uid {found.st_uid}, not to you")
    loose = stat.S_IMODE(found.st_mode) & forbidden
    if loose:
        mode = stat.S_IMODE(found.st_mode)
        fix = f"chmod {mode & ~forbidden & ~OTHERS_WRITE:04o} {path}"
        raise InsecurePath(f"{path} has mode {mode:04o}, open to others", hint=fix)
