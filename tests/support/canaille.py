"""Runs Canaille, written in Python by others, as somebody's OpenID provider on loopback."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page

_MAIN = Path(__file__).with_name("canaille_main.py")


class Canaille:
    """A provider that runs.

    Attributes:
        url: Its issuer.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = self._line()
        assert self.url, "Canaille did not start"

    def allow(self, redirect_uri: str) -> None:
        """Register an address of the client: it takes none that differs, even in the port."""
        assert self._process.stdin is not None
        self._process.stdin.write(redirect_uri + "\n")
        self._process.stdin.flush()
        assert self._line() == "ok"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def canaille(folder: Path) -> Generator[Canaille]:
    """Run a provider; it ends with the block, or with this process.

    Args:
        folder: Empty; where it runs, so that no settings of a user's are read.
    """
    with subprocess.Popen(
        [sys.executable, "-I", str(_MAIN)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=folder,
        env={"HOME": str(folder)},
    ) as process:
        try:
            yield Canaille(process)
        finally:
            process.kill()


def log_in(page: Page, url: str) -> None:
    """Log in there as its one user, and agree to what is asked for."""
    page.goto(url)
    page.fill("[name=login]", "ada")
    page.keyboard.press("Enter")
    page.fill("[name=password]", "correct horse battery")
    page.keyboard.press("Enter")
    page.click("[value=accept]")
