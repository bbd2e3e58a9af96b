"""What changes with every change of a file?"""

from __future__ import annotations

import os

from brokershim.errors import ConfigError

Stamp = tuple[int, ...] | None


def stamp(path: str) -> Stamp:
    """Return what changes with every change of a file of settings; None where there is none.

    Raises:
        ConfigError: It cannot be looked at.
    """
    try:
        found, folder = os.lstat(path), os.lstat(os.path.dirname(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"cannot look at {path}: {error.strerror}") from None
    # The change time also moves when the mode or the owner does, and nobody can set it back.
    # In a folder that others may write to, the file could be another one of ours.
    return found.st_ino, found.st_size, found.st_ctime_ns, folder.st_mode, folder.st_uid
