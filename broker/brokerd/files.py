"""How is a file replaced so that a crash leaves the old one or the new one, whole?"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets

from brokerd.linefile import sync_data, sync_folder

_SUFFIX = ".tmp"


def atomic_write(path: str, data: bytes) -> None:
    """Replace a file, or make it, with mode 0600; it is on disk when this returns.

    The data goes to a new file in the same folder, which then takes the name (rename(2)), with
    both synced (fsync(2)). What an earlier crash left in the folder is removed on the way.

    Args:
        path: The file. A symbolic link there is replaced; what it points to is not touched.
        data: The whole new content.

    Raises:
        OSError: The old file is still there, whole; or, where only the last sync of the folder
            failed, the new one.
    """
    folder, name = os.path.split(os.path.abspath(path))
    prefix = f".{name}."
    _remove_leftovers(folder, prefix)
    temporary = os.path.join(folder, prefix + secrets.token_hex(8) + _SUFFIX)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # tells _remove_leftovers of another thread to leave it
        _write_all(fd, data)
        sync_data(fd)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    finally:
        os.close(fd)
    sync_folder(folder)


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _remove_leftovers(folder: str, prefix: str) -> None:
    """Remove new files that never took the name because their writer died."""
    with os.scandir(folder) as entries:
        names = [e.name for e in entries if e.name.startswith(prefix) and e.name.endswith(_SUFFIX)]
    for name in names:
        with contextlib.suppress(FileNotFoundError):  # another thread was quicker
            _remove_if_dead(os.path.join(folder, name))


def _remove_if_dead(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # flock(2): a lock dies with its process
        os.unlink(path)
    except BlockingIOError:
        return  # its writer lives
    finally:
        os.close(fd)
