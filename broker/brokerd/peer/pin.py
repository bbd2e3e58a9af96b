"""Is that process still running, and still the same one?"""

from __future__ import annotations

import os
import select


class Pin:
    """Holds on to one process, so that its number cannot come to mean another.

    Attributes:
        pid: The process's number, which belongs to it while `alive` is true.
        fd: A descriptor that becomes readable when the process ends (a pidfd, pidfd_open(2);
            on macOS a kqueue that watches it, kqueue(2)).
    """

    def __init__(self, pid: int, fd: int) -> None:
        self.pid = pid
        self.fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def alive(self) -> bool:
        """Return whether the process has not ended; a zombie has."""
        return self.fd >= 0 and not self._poll.poll(0)

    def copy(self) -> Pin:
        """Return a pin of the same process that is closed by itself."""
        return Pin(self.pid, os.dup(self.fd))

    def close(self) -> None:
        """Let go of the process; it counts as gone from then on."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
