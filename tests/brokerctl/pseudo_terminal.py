"""A command in a terminal of its own, so that it can be seen asking and be answered."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

_SECONDS = 30.0
# In the child: take the terminal as the controlling one, then become the command.
_BEGIN = """
import fcntl, os, sys, termios
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
os.execv(sys.argv[2], sys.argv[2:])
"""


class PseudoTerminal:
    """Runs a command as the foreground of a new terminal.

    Args:
        command: The command; its program is an absolute path.
        env: Its environment.
        cwd: Its working folder.
        stdin: What it reads from a pipe, instead of from the terminal.
    """

    def __init__(
        self, command: list[str], env: dict[str, str], cwd: Path, stdin: bytes | None = None
    ) -> None:
        self.master, terminal = pty.openpty()
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BEGIN, str(terminal), *command],
            stdin=terminal if stdin is None else subprocess.PIPE,
            stdout=terminal,
            stderr=terminal,
            env=env,
            cwd=cwd,
            pass_fds=(terminal,),
            start_new_session=True,
        )
        os.close(terminal)
        if self.process.stdin is not None and stdin is not None:
            self.process.stdin.write(stdin)
            self.process.stdin.close()

    def expect(self, text: str) -> None:
        """Wait until a text was shown."""
        deadline = time.monotonic() + _SECONDS
        while text not in self.seen:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} was not shown; this was: {self.seen!r}"
            assert self._read(left), f"it ended; shown: {self.seen!r}"

    def type(self, text: str) -> None:
        """Type something; ``\\n`` is the Enter key, ``\\x03`` is Ctrl-C."""
        os.write(self.master, text.encode())

    def echoes(self) -> bool:
        """Return whether what is typed now would be shown."""
        return bool(termios.tcgetattr(self.master)[3] & termios.ECHO)

    def end(self) -> int:
        """Wait for the end and return the exit status; `seen` then holds everything shown."""
        while self._read(_SECONDS):
            pass
        status = self.process.wait(_SECONDS)
        os.close(self.master)
        return status

    def _read(self, timeout: float) -> bool:
        if not select.select([self.master], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self.master, 4096)
        except OSError:  # EIO on Linux: nobody has the terminal open any more
            return False
        self.seen += data.decode()
        return bool(data)
