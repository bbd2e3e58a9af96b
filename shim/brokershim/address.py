"""How is a socket reached whose path is longer than a socket address holds?"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator

from brokershim.errors import DaemonUnreachable

_SUN_PATH = 104
"""Bytes in sun_path, the zero at its end included: 108 on Linux (unix(7)), 104 on macOS."""


@contextlib.contextmanager
def address_of(path: str) -> Generator[str]:
    """Yield an address for bind(2) or connect(2) that reaches a socket's path.

    A path that is too long goes by way of its folder's descriptor in /proc/self/fd.

    Raises:
        DaemonUnreachable: The path is too long, and this system has no /proc/self/fd.
        OSError: The folder cannot be opened.
    """
    if len(os.fsencode(path)) < _SUN_PATH:
        yield path
        return
    if not os.path.isdir("/proc/self/fd"):
        raise DaemonUnreachable(
            f"the socket's path is over {_SUN_PATH} bytes: {path}",
            hint="set XDG_RUNTIME_DIR to a shorter folder",
        )
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{os.path.basename(path)}"
    finally:
        os.close(folder)
