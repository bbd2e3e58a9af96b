"""Makes the disk fail, in this process, for the length of a with block."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Generator
from contextlib import contextmanager
from unittest import mock


@contextmanager
def no_file_over(size: int) -> Generator[None]:
    """Let the kernel refuse what would make a file larger, as a full disk does.

    A write(2) that crosses the limit is cut short, the next one fails: see RLIMIT_FSIZE in
    getrlimit(2). Python ignores the signal.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def broken(where: str) -> Generator[None]:
    """Let a function, such as ``os.ftruncate``, fail with EIO."""
    failure = OSError(errno.EIO, os.strerror(errno.EIO))
    with mock.patch(where, side_effect=failure):
        yield
