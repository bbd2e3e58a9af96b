"""A command line in a home of its own, with a daemon that answers what the test says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.brokerctl.fake_daemon import Answer, FakeDaemon
from tests.brokerctl.pseudo_terminal import PseudoTerminal


class CommandLine:
    """Runs `brokerctl` as a process, in a home of its own.

    Attributes:
        home: Its HOME.
        folder: Its working folder, inside that home.
        env: Its environment.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "app"
        self.folder.mkdir(parents=True)
        self.env = {
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
        }
        self._daemons: list[FakeDaemon] = []

    @property
    def command(self) -> list[str]:
        """The words that begin every command."""
        return [sys.executable, "-m", "brokerctl"]

    @property
    def socket(self) -> str:
        """Where its daemon listens."""
        return str(self.home / "run" / "brokerctl" / "broker.sock")

    @property
    def state(self) -> Path:
        """Its state folder, made private."""
        path = self.home / ".local" / "state" / "brokerctl"
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    def daemon(self, answers: Mapping[str, Answer] | None = None) -> FakeDaemon:
        """Let a daemon listen that gives these answers."""
        fake = FakeDaemon(self.socket, answers or {})
        self._daemons.append(fake)
        return fake

    def run(
        self, *args: str, stdin: str | bytes = b"", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end, without a terminal."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            [*self.command, *args],
            input=data,
            capture_output=True,
            env={**self.env, **(env or {})},
            cwd=self.folder,
            timeout=60,
            start_new_session=True,  # no controlling terminal, wherever the tests run
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def terminal(
        self, *args: str, stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> PseudoTerminal:
        """Begin one command in a terminal."""
        return PseudoTerminal(
            [*self.command, *args], {**self.env, **(env or {})}, self.folder, stdin
        )

    def close(self) -> None:
        """End its daemons."""
        for each in self._daemons:
            each.close()


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CommandLine]:
    """Give a command line in a home of its own."""
    made = CommandLine(tmp_path / "home")
    yield made
    made.close()
