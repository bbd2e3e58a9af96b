"""Where does brokerctl live when it must not meet the user's own? In a home of its own.

For the demo, the benchmark and the end-to-end tests: everything that brokerctl reads and writes
follows from HOME and the XDG variables, so another home is another broker.
"""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
import sys
from collections.abc import Mapping
from typing import IO, NamedTuple

COMMAND_SECONDS = 100.0
"""How long a command may take."""
_CONFIG = '[store]\nmaster_key = "passphrase"\n'


class Done(NamedTuple):
    """How a command ended.

    Attributes:
        status: Its exit status; the negative number of the signal that ended it.
        stdout: What it printed.
        stderr: What it said.
    """

    status: int
    stdout: str
    stderr: str


class Home:
    """A home with a project in it. The user's keyring and variables stay out.

    Args:
        root: An empty folder, which gets everything.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.project = os.path.join(root, "my-app")
        self.passphrase = secrets.token_hex(16)
        self.printed: dict[str, str] = {}
        """What each command printed, by its number and its words."""
        for folder in ("my-app", "run", "tmp"):
            os.mkdir(os.path.join(root, folder), 0o700)
        self.environment = {
            "PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ.get('PATH', '')}",
            "HOME": root,
            "XDG_RUNTIME_DIR": os.path.join(root, "run"),
            "TMPDIR": os.path.join(root, "tmp"),
            "LANG": "C.UTF-8",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or it would download its price list
        }
        self.write(".config/brokerctl/config.toml", _CONFIG)

    @property
    def state(self) -> str:
        """The folder of the store, the audit log and the daemon's log."""
        return os.path.join(self.root, ".local", "state", "brokerctl")

    def write(self, name: str, text: str) -> str:
        """Write a private file below the home, and return its path."""
        path = os.path.join(self.root, name)
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        with open(path, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(text)
        return path

    def run(
        self,
        command: str,
        stdin: str = "",
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Done:
        """Run a command to its end, in the project unless another folder is given.

        Args:
            command: Its words, as a shell would split them.
            stdin: What comes through its pipe.
            cwd: The folder; the project if not given.
            env: Variables on top of the home's own.
        """
        done = subprocess.run(
            shlex.split(command),
            input=stdin,
            env={**self.environment, **(env or {})},
            cwd=cwd or self.project,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=COMMAND_SECONDS,
            start_new_session=True,  # no controlling terminal: nobody is asked anything
            check=False,
        )
        self.printed[f"{len(self.printed)}: {command}"] = done.stdout + done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def start(
        self,
        command: str,
        *,
        env: Mapping[str, str] | None = None,
        stderr: IO[bytes] | int | None = None,
    ) -> subprocess.Popen[str]:
        """Start a command in the project; its ends of the pipes are the caller's."""
        return subprocess.Popen(
            shlex.split(command),
            env={**self.environment, **(env or {})},
            cwd=self.project,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            encoding="utf-8",
            errors="surrogateescape",
            start_new_session=True,
        )

    def unlock(self) -> Done:
        """Open the store, which is made the first time."""
        return self.run("brokerctl unlock", self.passphrase + "\n")

    def stop(self) -> None:
        """End the daemon, if one runs."""
        self.run("brokerctl daemon stop", cwd=self.root)
