"""How is a person asked, and where does a value come from that must not be on the command line?

A secret is typed unseen in the terminal, or comes from standard input. There is no fallback that
would show it, and none that reads an argument: those stand in the process list and in the
shell's history.
"""

from __future__ import annotations

import contextlib
import os
import resource
import termios
from collections.abc import Generator

from brokerctl.output import safe
from brokershim.errors import UsageError

_STDIN = 0
_TERMINAL = "/dev/tty"
_MAX_BYTES = 64 * 1024
_LINE = 4096


class Terminal:
    """A terminal that a person sits at.

    Args:
        fd: Its descriptor, open for reading and writing.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def say(self, text: str) -> None:
        """Show one line."""
        self._write(safe(text) + "\n")

    def confirm(self, question: str, *, enter_is_yes: bool = False) -> bool:
        """Ask a question; only ``y`` or ``yes`` is a yes, and only one typed after the question.

        A line that was pasted together with the command must not answer what nobody has read.

        Args:
            question: Ends in a question mark.
            enter_is_yes: Whether an empty line is a yes, too: for what grants nothing.
        """
        termios.tcflush(self._fd, termios.TCIFLUSH)
        self._write(f"{safe(question)} {'[Y/n]' if enter_is_yes else '[y/N]'} ")
        line = self._line()
        # Without its line end it is the end of the terminal, and nobody pressed Enter.
        return line.strip().lower() in {b"y", b"yes"} or (enter_is_yes and line == b"\n")

    def ask_hidden(self, prompt: str) -> str:
        """Ask for a line that is not shown while it is typed.

        Raises:
            UsageError: Nothing was typed, or no UTF-8.
        """
        with self._hidden():
            self._write(f"{safe(prompt)}: ")
            return _text(self._line())

    @contextlib.contextmanager
    def _hidden(self) -> Generator[None]:
        r"""Switch the echo off, before the prompt shows: what is typed early is not shown either.

        TCSAFLUSH, also on the way back, drops what is left of a paste of several lines: the
        shell would show and run it. And no core dump: Ctrl-\ would write one with the key in it.
        """
        before = termios.tcgetattr(self._fd)
        core = resource.getrlimit(resource.RLIMIT_CORE)
        unseen = list(before)
        unseen[3] = (unseen[3] & ~termios.ECHO) | termios.ECHONL
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, core[1]))
            termios.tcsetattr(self._fd, termios.TCSAFLUSH, unseen)
            yield
        finally:
            termios.tcsetattr(self._fd, termios.TCSAFLUSH, before)
            resource.setrlimit(resource.RLIMIT_CORE, core)

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            part = os.read(self._fd, _LINE)
            if not part:
                break
            line += part
        return line

    def _write(self, text: str) -> None:
        data = text.encode()
        while data:
            data = data[os.write(self._fd, data) :]


@contextlib.contextmanager
def terminal() -> Generator[Terminal | None]:
    """Yield the controlling terminal where we are in its foreground, else None.

    From the background nobody can answer, and reading would stop the whole job (SIGTTIN).
    """
    try:
        fd = os.open(_TERMINAL, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:  # there is none: a service, cron, a container
        yield None
        return
    try:
        yield Terminal(fd) if os.tcgetpgrp(fd) == os.getpgrp() else None
    finally:
        os.close(fd)


def read_secret(prompt: str) -> str:
    """Return a secret that is typed unseen, or the whole of standard input.

    Args:
        prompt: What to ask for, where standard input is a terminal.

    Raises:
        UsageError: It is empty, too long, or not UTF-8.
    """
    if os.isatty(_STDIN):
        return Terminal(_STDIN).ask_hidden(prompt)
    with open(_STDIN, "rb", closefd=False) as stdin:
        return _text(stdin.read(_MAX_BYTES + 1))


def read_passphrase(twice: bool) -> str:
    """Return a passphrase that is typed unseen, or one line of standard input.

    Args:
        twice: Whether it is a new one.

    Raises:
        UsageError: It is empty, too long, not UTF-8, or the two are not the same.
    """
    if os.isatty(_STDIN):
        return ask_passphrase(Terminal(_STDIN), twice)
    with open(_STDIN, "rb", closefd=False) as stdin:
        return _text(stdin.readline(_MAX_BYTES + 1))


def ask_passphrase(asking: Terminal, twice: bool) -> str:
    """Ask for a passphrase; a new one twice, as a slip of the finger would lock the store.

    Raises:
        UsageError: It is empty, not UTF-8, or the two are not the same.
    """
    typed = asking.ask_hidden("New passphrase" if twice else "Passphrase")
    if twice and asking.ask_hidden("The same again") != typed:
        raise UsageError("the two passphrases are not the same", hint="try again")
    return typed


def _text(data: bytes) -> str:
    """Return bytes as text without the one line end that `echo` or the Enter key adds."""
    data = data.removesuffix(b"\n").removesuffix(b"\r")
    if not data:
        raise UsageError("nothing was entered", hint="type it when asked, or pipe it in")
    if len(data) > _MAX_BYTES:
        raise UsageError(f"over {_MAX_BYTES} bytes were given", hint="is it the right file?")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        # Not chained: the error carries the bytes, and so the secret.
        raise UsageError("what was entered is not UTF-8", hint="is it the right file?") from None
