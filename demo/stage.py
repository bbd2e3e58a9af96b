"""Where does the demo play? In a home of its own, where every command is shown as it is run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from types import FrameType

COMMAND_SECONDS = 60.0
"""How long any command but the app may take."""


class Failed(Exception):
    """A command of the demo ended as it should not have."""


class Stage:
    """A temporary home; a context manager that ends what it started and removes the folder."""

    def __init__(self) -> None:
        self.root = tempfile.mkdtemp(prefix="demo-")
        self.project = os.path.join(self.root, "my-app")
        self.home = os.path.join(self.root, "home")
        self.printed: dict[str, str] = {}
        """What each command printed."""
        self._app: subprocess.Popen[str] | None = None
        for folder in (self.project, self.home, self._path("run")):
            os.mkdir(folder, 0o700)

    def __enter__(self) -> Stage:
        """Treat a request to end like Ctrl-C, so that everything is cleaned up."""
        signal.signal(signal.SIGTERM, _interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        """End the app and the daemon, and remove the folder."""
        if self._app is not None and self._app.poll() is None:
            self._app.kill()
            self._app.wait()
        subprocess.run(
            ["brokerctl", "daemon", "stop"],
            env=self._environment(),
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        shutil.rmtree(self.root)

    def run(self, command: str, stdin: str = "", shown: str | None = None) -> str:
        """Run a command, show it and what it prints, and return that.

        Args:
            command: Its words, with a space between them.
            stdin: What comes through its pipe.
            shown: What to show in the command's place.

        Raises:
            Failed: It did not end with 0.
        """
        say(f"$ {shown or command}")
        done = subprocess.run(
            command.split(" "),
            input=stdin,
            env=self._environment(),
            cwd=self.project,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        self.printed[command] = done.stdout + done.stderr
        for line in done.stdout.splitlines():
            say(f"  {line}")
        if done.returncode != 0:
            raise Failed(f"`{command}` ended with {done.returncode}:\n{done.stderr}")
        return done.stdout

    def start_app(self, command: str, settings: dict[str, str], log: str) -> subprocess.Popen[str]:
        """Start the app; what it writes to standard error goes into a file of the project."""
        say(f"$ {command} 2> {log}")
        with open(os.path.join(self.project, log), "w") as stderr:
            self._app = subprocess.Popen(
                command.split(" "),
                env={**self._environment(), **settings},
                cwd=self.project,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        return self._app

    def write(self, words: Sequence[str], text: str) -> None:
        """Write a file below the home."""
        path = os.path.join(self.home, *words)
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        with open(path, "w") as file:
            file.write(text)

    def _path(self, name: str) -> str:
        return os.path.join(self.root, name)

    def _environment(self) -> dict[str, str]:
        """Return an environment that knows nothing of the user's own."""
        path = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
        return {
            "PATH": path,
            "HOME": self.home,
            "XDG_RUNTIME_DIR": self._path("run"),
            "TMPDIR": self.root,
            "LANG": "C.UTF-8",
        }


def say(line: str) -> None:
    """Print one line of what happens."""
    print(f"  {line}", flush=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt
