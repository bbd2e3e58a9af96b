"""Does a .env file hold real keys? Names only: the values are looked at, and never kept."""

from __future__ import annotations

import os
import re
import stat

from brokerctl.keys import looks_real

_MAX_BYTES = 64 * 1024
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")


def real_keys(folder: str) -> list[str]:
    """Return the variables in a folder's .env that hold what looks like a provider's key.

    A file that is not there, not a regular file or not ours to read holds none for us: the
    app could not read it either, and a named pipe must not hang us.
    """
    found: list[str] = []
    for line in _read(os.path.join(folder, ".env")).splitlines():
        match = _LINE.fullmatch(line)
        if match and looks_real(match[1], match[2].strip("'\"")):
            found.append(match[1])
    return found


def _read(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return file.read(_MAX_BYTES).decode("utf-8", "replace")
