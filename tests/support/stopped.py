"""A process that stands still."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def stopped(pid: int) -> Generator[None]:
    """Let a child of this process stand still meanwhile.

    Waits until it does: each of its threads goes on until it sees the signal (wait(2), WUNTRACED).
    """
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
