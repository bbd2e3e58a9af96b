"""What does the audience see? Every command as it is run, and what it prints."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from types import FrameType

from demo.home import Done, Home


class Failed(Exception):
    """A command of the demo ended as it should not have."""


class Stage:
    """A home that ends with the demo; a context manager that cleans up after itself."""

    def __init__(self) -> None:
        self.home = Home(tempfile.mkdtemp(prefix="demo-"))
        self._app: subprocess.Popen[str] | None = None

    def __enter__(self) -> Stage:
        """Treat a request to end like Ctrl-C."""
        signal.signal(signal.SIGTERM, _interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        """End the app and the daemon, and remove the folder."""
        if self._app is not None:
            self._app.kill()
            self._app.wait()
        self.home.stop()
        shutil.rmtree(self.home.root)

    def run(self, command: str, stdin: str = "") -> None:
        """Run a command and show it.

        Raises:
            Failed: It did not end with 0.
        """
        say(f"$ {command}")
        show(self.home.run(command, stdin), command)

    def unlock(self) -> None:
        """Make the store.

        Raises:
            Failed: It could not be made.
        """
        say("$ brokerctl unlock")
        show(self.home.unlock(), "brokerctl unlock")

    def start_app(self, command: str, settings: dict[str, str], log: str) -> subprocess.Popen[str]:
        """Start the app; what it writes to standard error goes into a file of the project."""
        say(f"$ {command} 2> {log}")
        with open(os.path.join(self.home.project, log), "wb") as stderr:
            self._app = self.home.start(command, env=settings, stderr=stderr)
        return self._app


def say(line: str) -> None:
    """Print one line of what happens."""
    print(f"  {line}", flush=True)


def show(done: Done, command: str) -> None:
    """Print what a command printed.

    Raises:
        Failed: It did not end with 0.
    """
    for line in done.stdout.splitlines():
        say(f"  {line}")
    if done.status != 0:
        raise Failed(f"`{command}` ended with {done.status}:\n{done.stderr}")


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt
