"""How does a test sit at a terminal? In a home with a broker, next to a provider, with canary keys.

    assert session.run("brokerctl secret set openai/dev", key) == Done(0, "…stored…\\n", "")

Every key that a session makes is searched for after each test, in all that was written, in every
process, and in all that was printed.
"""

from __future__ import annotations

import json
import re
import secrets
import shlex
import shutil
import subprocess
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import psutil

from demo import search
from demo.forms import Needles
from demo.home import COMMAND_SECONDS, Done, Home
from demo.provider import Provider
from tests.brokerctl.pseudo_terminal import PseudoTerminal

ASKING = """
while True:
    input()
    print(ask(), flush=True)
"""
"""An app that asks a provider whenever it is told to."""
ASKING_TWICE = "print(ask(), flush=True)\ninput()\nprint(ask(), flush=True)\n"
_ASK = """
import os

import httpx

def ask(model="some-model", key="OPENAI_API_KEY", url="OPENAI_BASE_URL"):
    answer = httpx.post(
        os.environ[url] + "/chat/completions",
        headers={"authorization": "Bearer " + os.environ[key]},
        json={"model": model},
    )
    if answer.status_code == 200:
        return answer.json()["choices"][0]["message"]["content"]
    return f"{answer.status_code} {answer.json()['error']['message']}"
"""

open_sessions: list[Session] = []
"""Those whose keys must be nowhere now."""


class Session(Home):
    """A home with a broker in it.

    Args:
        root: An empty folder.
        provider: Where its apps ask, and its keys are good.
    """

    def __init__(self, root: Path, provider: Provider) -> None:
        super().__init__(str(root))
        self.provider = provider
        self.keys: list[str] = []
        self._terminals: list[PseudoTerminal] = []
        self.environment["OPENAI_BASE_URL"] = f"{provider.url}/v1"
        self.environment["ANTHROPIC_BASE_URL"] = provider.url
        self.script("ask.py", _ASK)
        open_sessions.append(self)

    def new_key(self, provider: str = "openai") -> str:
        """Make a key, which the provider takes too, and which must never be found."""
        prefix = "sk-ant-" if provider == "anthropic" else "sk-proj-"
        key = f"{prefix}canary{secrets.token_hex(16)}+/="
        self.keys.append(key)
        self.provider.accept(provider, key)
        return key

    def store(self, name: str = "openai/dev") -> str:
        """Store a new key under a name that begins with its provider, and return it."""
        key = self.new_key(name.partition("/")[0])
        done = self.run(f"brokerctl secret set {name} --host {self.provider.host}", key)
        assert done.status == 0, done
        return key

    def trust(self, content: str = 'OPENAI_API_KEY = "openai/dev"\n') -> None:
        """Write the project's broker.toml and allow it."""
        self.script("broker.toml", content)
        assert self.run("brokerctl allow").status == 0

    def grant(self, rule: str) -> None:
        """Write policy.toml."""
        self.write(".config/brokerctl/policy.toml", f"[[grant]]\n{textwrap.dedent(rule)}\n")

    def script(self, name: str, code: str) -> str:
        """Write a file of the project, and return its path."""
        return self.write(f"my-app/{name}", textwrap.dedent(code).lstrip("\n"))

    def app(self, code: str, command: str = "brokerctl run python app.py") -> Done:
        """Run a program of a few lines; ``ask`` asks the provider."""
        self.script("app.py", "from ask import ask\n" + textwrap.dedent(code))
        return self.run(command)

    def starts(self, code: str, command: str = "brokerctl run python app.py") -> App:
        """Start such a program; what it prints is read line by line."""
        self.script("app.py", "from ask import ask\n" + textwrap.dedent(code))
        return App(self, self.start(command, stderr=subprocess.STDOUT))

    def key_sent_for(self, name: str) -> str:
        """Return the key that the provider is sent by a program that is given a secret."""
        self.trust(f'OPENAI_API_KEY = "{name}"\n')
        self.app("ask()")
        self.trust()
        return self.provider.asked[-1].key

    def terminal(self, command: str, **env: str) -> PseudoTerminal:
        """Begin a command in the foreground of a new terminal."""
        program, *arguments = shlex.split(command)
        path = shutil.which(program, path=self.environment["PATH"])
        assert path is not None
        made = PseudoTerminal([path, *arguments], {**self.environment, **env}, Path(self.project))
        self._terminals.append(made)
        return made

    def daemon_pid(self) -> int:
        """Return the running daemon's process number."""
        done = self.run("brokerctl daemon status")
        found = re.search(r"process (\d+)", done.stdout)
        assert found, done
        return int(found[1])

    def events(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return the events of the audit that have these fields, the newest last."""
        done = self.run("brokerctl audit -n 1000 --json")
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return [each for each in found if wanted.items() <= each.items()]

    def leaks(self) -> list[str]:
        """Return every place where one of its keys can be found."""
        needles = Needles(self.keys)
        shown = {f"terminal {n}": each.seen for n, each in enumerate(self._terminals)}
        reports = [
            search.in_processes(needles, "environ"),
            search.in_processes(needles, "cmdline"),
            search.in_folders(needles, [self.root]),
            search.in_texts(needles, {**self.printed, **shown}),
        ]
        assert all(report.places for report in reports), "nothing was looked at"
        return [place for report in reports for place in report.found]

    def close(self) -> None:
        """Search a last time, while the daemon runs, and end it."""
        open_sessions.remove(self)
        try:
            assert self.leaks() == []
        finally:
            for each in self._terminals:
                with each.process:
                    each.process.kill()
            self.stop()


class App:
    """A running program; a context manager that ends it."""

    def __init__(self, session: Session, process: subprocess.Popen[str]) -> None:
        self.pid = process.pid
        self._process = process
        session.printed[f"program {process.pid}"] = ""
        self._session = session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()

    def says(self) -> str:
        """Return the next line that it prints."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self._session.printed[f"program {self.pid}"] += line
        return line.rstrip("\n")

    def go_on(self) -> None:
        """Give it the line that it waits for."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self) -> int:
        """Wait for its end and return its exit status."""
        assert self._process.stdout is not None
        self._session.printed[f"program {self.pid}"] += self._process.stdout.read()
        return self._process.wait(COMMAND_SECONDS)


def eventually(is_so: Callable[[], bool]) -> bool:
    """Wait until something is so; what happens by itself takes a moment, and never many seconds."""
    deadline = time.monotonic() + 10
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def runs(pid: int) -> bool:
    """Return whether a process is there, and more than an entry that nobody has waited for."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
