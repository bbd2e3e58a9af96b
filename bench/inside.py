"""What does the shim cost a call? Measured by a program of its own, inside a session."""

from __future__ import annotations

import json
import os

from bench.figures import Figure, middle
from bench.home import SECRET
from demo.home import Home

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def measure(home: Home) -> list[Figure]:
    """Run `bench.shim` and say what it found."""
    run = f"brokerctl run --env OPENAI_API_KEY={SECRET} -- python -m bench.shim"
    done = home.run(run, cwd=_ROOT)
    if done.status != 0:
        raise RuntimeError(done.stderr)
    times = json.loads(done.stdout.splitlines()[-1])
    return [
        _figure("shim, of each `litellm.completion`", times["litellm"]),
        _figure("shim, of each call of httpx", times["httpx"]),
    ]


def _figure(name: str, times: dict[str, list[float]]) -> Figure:
    # Each pair is two calls in a row, so a slower moment of the machine is in both.
    pairs = zip(times["with"], times["without"], strict=True)
    more = middle([with_shim - without for with_shim, without in pairs])
    note = f"sending takes {middle(times['without']) * 1e6:.0f} us without it"
    return Figure(name, more * 1e6, "us", 50.0, note)
