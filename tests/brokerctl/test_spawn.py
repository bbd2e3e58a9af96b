"""What the daemon is started with, and what is done when it does not get ready.

In the daemon's place stands a script, which writes down what it was given.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brokershim.errors import StoreCorrupted
from tests.brokerctl.conftest import CommandLine

KEY = "sk-proj-" + "A1b2C3d4" * 4
# Python, run with -I and without site: what it sees of the environment is what it was given.
_FAKE = """#!{python} -IS
import json, os, sys, time
seen = {{
    "argv": sys.argv[1:], "env": dict(os.environ), "cwd": os.getcwd(), "pid": os.getpid(),
    "session": os.getsid(0),
    "descriptors": [n for n in map(int, os.listdir("/dev/fd")) if os.path.exists(f"/dev/fd/{{n}}")],
}}
with open({seen!r}, "w") as file:
    json.dump(seen, file)
print("to the log", file=sys.stderr, flush=True)
ready = int(sys.argv[-1])
{then}
"""
_SPAWN = """
import os, subprocess, sys, time
from brokerctl import spawn
sys.executable = {fake!r}
spawn._NOTE_AFTER = 30.0
{clock}
try:
    spawn.spawn(30.0)
finally:
    print(subprocess.run(["ps", "-o", "args=", "--ppid", str(os.getpid())],
                         capture_output=True, text=True).stdout)
"""


_JUMP = "time.monotonic = iter([0.0, 1000.0, 1000.0, 1000.0]).__next__"


class Spawned:
    """Starts a script in the daemon's place."""

    def __init__(self, cli: CommandLine) -> None:
        self._cli = cli
        self._fake = cli.home / "fake"
        self._seen = cli.home / "seen"
        self.log = cli.home / ".local" / "state" / "brokerctl" / "daemon.log"

    def run(self, then: str, clock: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
        """Start it; it does ``then`` after it has written down what it was given."""
        text = _FAKE.format(python=sys.executable, seen=str(self._seen), then=then)
        self._fake.write_text(text)
        self._fake.chmod(0o755)
        return subprocess.run(
            [sys.executable, "-c", _SPAWN.format(fake=str(self._fake), clock=clock)],
            env={**self._cli.env, "GROQ_API_KEY": KEY, "LD_LIBRARY_PATH": "/x"},
            cwd=self._cli.folder,
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    @property
    def seen(self) -> dict[str, Any]:
        """What the script was given."""
        found: dict[str, Any] = json.loads(self._seen.read_text())
        return found


@pytest.fixture
def spawned(cli: CommandLine) -> Spawned:
    """Give a starter of scripts."""
    return Spawned(cli)


@pytest.fixture
def stray() -> Iterator[int]:
    """Give a descriptor that a careless parent would pass on."""
    read_end, write_end = os.pipe()
    yield write_end
    os.close(read_end)
    os.close(write_end)


def test_it_gets_a_clean_place_and_nothing_of_ours(spawned: Spawned, stray: int) -> None:
    done = spawned.run("os.write(ready, b'ready\\n')", pass_fds=(stray,))
    assert done.returncode == 0, done.stderr
    seen = spawned.seen
    assert seen["argv"][:-1] == ["-I", "-m", "brokerd", "--ready-fd"]
    assert set(seen["env"]) - {"LC_CTYPE"} == {"HOME", "PATH", "LANG", "XDG_RUNTIME_DIR"}
    assert seen["cwd"] == "/"
    assert seen["session"] == seen["pid"]
    assert set(seen["descriptors"]) == {0, 1, 2, int(seen["argv"][-1])}


def test_it_is_not_our_child(spawned: Spawned) -> None:
    done = spawned.run("os.write(ready, b'ready\\n'); time.sleep(60)")
    os.kill(spawned.seen["pid"], 9)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith("ps ")
    assert "fake" not in done.stdout


def test_what_it_says_goes_to_a_private_log_and_adds_to_it(spawned: Spawned) -> None:
    for _ in range(2):
        spawned.run("os.write(ready, b'ready\\n')")
    assert spawned.log.read_text() == "to the log\n" * 2
    assert spawned.log.stat().st_mode & 0o777 == 0o600


def test_a_log_that_has_grown_is_set_aside(spawned: Spawned) -> None:
    spawned.run("os.write(ready, b'ready\\n')")
    spawned.log.write_bytes(b"x" * 1024 * 1024)
    spawned.run("os.write(ready, b'ready\\n')")
    assert spawned.log.read_text() == "to the log\n"
    assert spawned.log.with_name("daemon.log.1").stat().st_size == 1024 * 1024


def test_why_it_cannot_start_is_raised(spawned: Spawned) -> None:
    line = b"error " + json.dumps(StoreCorrupted("it is torn").to_wire()).encode() + b"\n"
    done = spawned.run(f"os.write(ready, {line!r})")
    assert "brokershim.errors.StoreCorrupted: it is torn" in done.stderr


@pytest.mark.parametrize("then", ["sys.exit(3)", "os.write(ready, b'hello\\n')"])
def test_one_that_just_ends_is_an_error(spawned: Spawned, then: str) -> None:
    done = spawned.run(then)
    assert "DaemonUnreachable: the daemon ended while it started" in done.stderr


def test_one_that_hangs_is_ended(spawned: Spawned) -> None:
    """It says half a word, and then nothing for what its starter takes for a long time."""
    done = spawned.run("os.write(ready, b'rea'); time.sleep(600)", clock=_JUMP)
    assert "DaemonUnreachable: the daemon was not ready within 30 s" in done.stderr
    assert not Path(f"/proc/{spawned.seen['pid']}/cwd").exists()


def test_one_that_cannot_be_executed_is_an_error(spawned: Spawned, cli: CommandLine) -> None:
    script = _SPAWN.format(fake=str(cli.home / "gone"), clock="")
    done = subprocess.run(
        [sys.executable, "-c", script], env=cli.env, capture_output=True, text=True, check=False
    )
    assert "DaemonUnreachable: cannot execute" in done.stderr
    assert not spawned.log.read_text()


def test_a_log_that_is_a_link_is_refused(spawned: Spawned, cli: CommandLine) -> None:
    cli.state.joinpath("daemon.log").symlink_to(cli.home / "elsewhere")
    assert "InsecurePath" in spawned.run("").stderr
    assert not (cli.home / "elsewhere").exists()
