"""What does a key of AWS cost through us, and what where each process asks AWS by itself?"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.atonce import at_once
from bench.clouded import SECRET, SECRET_ID, Scene, scene
from bench.figures import Figure
from bench.roundtrip import asked_in_turn, lease, ratio
from demo.home import Home

PROCESSES = 100
SESSIONS, HOURS = 50, 8
_DOLLARS = 0.05 / 10_000
"""For a call of Secrets Manager's API (aws.amazon.com/secrets-manager/pricing); STS is free."""


def measure(_home: Home) -> list[Figure]:
    """Measure in a broker of its own, whose keys are in Secrets Manager."""
    with scene() as here:
        return [*_hundred(here), *_warm(here), *_day(here)]


def _hundred(here: Scene) -> list[Figure]:
    """Start all at once while nobody has logged in yet: the login is in the time, too."""
    before = len(here.aws.calls())
    ours = at_once("lease", here.socket, SECRET, PROCESSES)
    calls = here.aws.calls()[before:]
    reads = [each for each in calls if each["service"] == "secretsmanager"]
    theirs = at_once("boto3", here.aws.url, SECRET_ID, PROCESSES)
    both = f"{ours * 1e3:.0f} ms to {theirs * 1e3:.0f} ms, until the last has its key"
    note = f"{len(calls)} with the login; {PROCESSES} with boto3"
    return [
        Figure("a hundred at once: reads at AWS", len(reads), "x", 1, note),
        Figure("a hundred at once, to boto3", ours / theirs, "x", 1.0, both),
    ]


def _warm(here: Scene) -> list[Figure]:
    client = here.aws.client("secretsmanager")
    caching: Any = importlib.import_module("aws_secretsmanager_caching")  # it carries no types
    cache = caching.SecretCache(client=client)
    wanted = {"SecretId": SECRET_ID, "VersionStage": "AWSCURRENT"}
    with lease(here.home, SECRET) as leasing:
        times = asked_in_turn(
            {
                "lease": leasing,
                "boto3": _timed(lambda: client.get_secret_value(**wanted)),
                "cache": _timed(lambda: cache.get_secret_string(SECRET_ID)),
            }
        )
    return [
        ratio("lease of a key of AWS, to boto3", times, "boto3", 1.0),
        ratio("lease of a key of AWS, to AWS's cache", times, "cache", None),
    ]


def _timed(call: Callable[[], object]) -> Callable[[], float]:
    def ask() -> float:
        begun = time.perf_counter()
        call()
        return time.perf_counter() - begun

    return ask


def _day(here: Scene) -> list[Figure]:
    """Count what a working day asks for, with a clock that is not waited for."""
    command = [sys.executable, "-m", "bench.day", here.aws.url, str(SESSIONS), str(HOURS)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    calls: dict[str, int] = json.loads(done.stdout)
    ours, alone, cached = (calls[each] for each in ("ours", "alone", "cached"))
    more = f"${ours * _DOLLARS:.4f}, and {calls['sts']} of STS, which are free"
    both = f"{SESSIONS} that ask as often: {alone:,} calls, ${alone * _DOLLARS:.4f}"
    theirs = f"{SESSIONS} with AWS's cache: {cached:,} calls, ${cached * _DOLLARS:.4f}, hourly"
    return [
        Figure("a day of fifty sessions: calls", ours, "", None, more),
        Figure("a day, to each asking as often", ours / alone, "x", 0.05, both),
        Figure("a day, to each with AWS's cache", ours / cached, "x", None, theirs),
    ]
