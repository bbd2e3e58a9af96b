"""How long do whole processes take: `brokerctl run`, and the start of a Python with the shim?"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import brokershim
from bench.figures import Figure, middle, spread
from bench.home import SECRET
from demo.home import Home

RUNS = 40
_BOOT = os.path.join(os.path.dirname(brokershim.__file__), "boot")


def measure(home: Home) -> list[Figure]:
    """Run each command in turn, many times."""
    return [_run(home), _start(home)]


def _run(home: Home) -> Figure:
    home.write("my-app/.env", "SOME_SETTING=some value\n")
    ours = ["brokerctl", "run", "--env", f"OPENAI_API_KEY={SECRET}", "--", "true"]
    run, dotenv = in_turn(home, (ours, {}), (["dotenv", "run", "--", "true"], {}))
    both = f"{spread(run, 1e3, 'ms')} to {spread(dotenv, 1e3, 'ms')}"
    return Figure("`brokerctl run`, to `dotenv run`", middle(run) / middle(dotenv), "x", 1.5, both)


def _start(home: Home) -> Figure:
    session = {
        "PYTHONPATH": _BOOT,
        "BROKER_SESSION": "bench",
        "OPENAI_API_KEY": f"brokerref:{SECRET}",
    }
    python = [sys.executable, "-c", "pass"]
    without, with_shim = in_turn(home, (python, {}), (python, session))
    pairs = zip(with_shim, without, strict=True)
    more = middle([one - other for one, other in pairs]) * 1e3
    note = f"{middle(without) * 1e3:.1f} ms without it"
    return Figure("the boot folder, at interpreter start", more, "ms", 5.0, note)


def in_turn(
    home: Home, *commands: tuple[list[str], dict[str, str]], runs: int = RUNS
) -> list[list[float]]:
    """Run each command, with variables of its own, in turn; return the seconds of each."""
    times: list[list[float]] = [[] for _ in commands]
    for turn in range(runs + 1):
        for samples, (command, env) in zip(times, commands, strict=True):
            seconds = _seconds(home, command, env)
            if turn > 0:  # the first turn only warms up
                samples.append(seconds)
    return times


def _seconds(home: Home, command: list[str], env: dict[str, str]) -> float:
    environment = {**home.environment, **env}
    begun = time.perf_counter()
    subprocess.run(
        command, env=environment, cwd=home.project, stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - begun
