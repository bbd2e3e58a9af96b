"""`python -m demo`: see an unchanged LiteLLM app make calls with keys that are nowhere."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import threading
import time

from demo import proof
from demo.forms import Needles
from demo.proof import Row
from demo.provider import Provider
from demo.stage import Failed, Stage, say

APP_SECONDS = 120.0
_MIDDLE = 3
"""The call during which the key is rotated."""


class Demo:
    """The story, from the first key to the table."""

    def __init__(self, stage: Stage) -> None:
        self._stage, self._home = stage, stage.home
        self._old, self._new = _key("sk-proj-"), _key("sk-proj-")
        self._anthropic = _key("sk-ant-")
        self._needles = Needles([self._old, self._new, self._anthropic])
        self._arrived, self._go_on = threading.Event(), threading.Event()
        self._provider = Provider(
            {"openai": self._old, "anthropic": self._anthropic}, self._hold_the_middle
        )
        self._live: list[Row] = []

    def play(self) -> bool:
        """Show everything, and return whether all is as it should be."""
        print(f"All of it happens below {self._home.root}, and nothing of yours is touched.")
        with self._provider:
            self._store()
            self._set_up_project()
            self._run_app()
        return self._prove()

    def _store(self) -> None:
        _title("Store two keys. They come through a pipe; typed, they would not show.")
        self._stage.unlock()
        self._set("openai/dev", self._old)
        self._set("anthropic/dev", self._anthropic)

    def _set(self, name: str, key: str) -> None:
        self._stage.run(f"brokerctl secret set {name} --host {self._provider.host}", key)

    def _set_up_project(self) -> None:
        _title("Name them in the project, and trust that file.")
        here = os.path.dirname(os.path.abspath(__file__))
        shutil.copy(os.path.join(here, "app.py"), self._home.project)
        self._stage.run("brokerctl init")
        self._stage.run("brokerctl allow")

    def _run_app(self) -> None:
        _title("Run the app. It is an ordinary LiteLLM app, and not one line of it knows of us.")
        app = self._stage.start_app("brokerctl run python app.py", self._settings(), "stderr.log")
        reader = threading.Thread(target=self._show, args=(app,))
        reader.start()
        deadline = time.monotonic() + APP_SECONDS
        while not self._arrived.wait(0.1) and app.poll() is None and time.monotonic() < deadline:
            pass
        if self._arrived.is_set():
            self._rotate()
        self._go_on.set()
        status = app.wait(APP_SECONDS)
        reader.join()
        if status != 0:
            raise Failed(f"the app ended with {status}; its log ends:\n{self._end_of_log()}")

    def _settings(self) -> dict[str, str]:
        """Return where the app finds its provider; its keys it gets from `brokerctl run`."""
        return {
            "OPENAI_BASE_URL": f"{self._provider.url}/v1",
            "ANTHROPIC_BASE_URL": self._provider.url,
        }

    def _rotate(self) -> None:
        say(f"-- call {_MIDDLE} waits for its answer; meanwhile the key is on the wire:")
        self._stage.run("brokerctl leases")
        self._live = proof.live(self._needles, "brokerref:openai/dev")
        say("-- the provider replaces the OpenAI key, and so do we; the app runs on:")
        self._provider.rotate("openai", self._new)
        self._set("openai/dev", self._new)

    def _hold_the_middle(self, number: int) -> None:
        if number == _MIDDLE:
            self._arrived.set()
            self._go_on.wait(APP_SECONDS)

    def _show(self, app: subprocess.Popen[str]) -> None:
        assert app.stdout is not None
        lines = list[str]()
        for line in app.stdout:
            lines.append(line)
            say(f"  {line.rstrip()}")
        self._home.printed["the app"] = "".join(lines)

    def _end_of_log(self) -> str:
        with open(os.path.join(self._home.project, "stderr.log")) as log:
            return "".join(log.readlines()[-15:])

    def _prove(self) -> bool:
        _title("The audit tells of every lease, and is whole.")
        self._stage.run("brokerctl audit verify")
        _title("Where are the keys? Searched for in clear, base64 and percent-encoded:")
        home = self._home
        rows = [
            *self._live,
            *proof.left(self._needles, home.root, home.project, home.printed),
            proof.control(os.path.join(home.root, "control")),
        ]
        for row in rows:
            say(f"{row.place:<40}{row.searched:<20}{row.verdict}")
        return bool(self._live) and all(row.good for row in rows)


_steps = iter(range(1, 100))


def _key(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(30)


def _title(text: str) -> None:
    print(f"\n{next(_steps)}. {text}")


def main() -> int:
    """Play the demo; return 0 if no key was found anywhere."""
    try:
        with Stage() as stage:
            good = Demo(stage).play()
    except Failed as problem:
        print(f"\ndemo: error: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted; everything is cleaned up", file=sys.stderr)
        return 130
    print("\nNo key was anywhere." if good else "\nThe demo FAILED: see above.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
