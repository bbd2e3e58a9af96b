"""Runs a Python program as `brokerctl run` would start it, with a fake daemon behind it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.fakebroker import FakeBroker

ROOT = Path(__file__).parents[2]
BOOT = ROOT / "shim" / "brokershim" / "boot"


def environment(broker: FakeBroker, **more: str) -> dict[str, str]:
    """Return a session's environment; it says nothing of where the tests run."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    ours = {"PYTHONPATH": str(BOOT), "BROKER_SESSION": "s-test", "BROKER_SOCKET": broker.path}
    return {**kept, **ours, **more}


def python(
    broker: FakeBroker, *args: str, executable: str = sys.executable, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in a session, to its end."""
    return subprocess.run(
        [executable, *args],
        env=environment(broker, **more),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def searched(
    broker: FakeBroker, needle: str, *args: str, executable: str = sys.executable, **more: str
) -> dict[str, Any]:
    """Run an app that searches itself (see tests.brokershim.search); return what it reports."""
    with (
        tempfile.TemporaryFile("w+") as errors,  # a pipe would fill up, and the app wait
        subprocess.Popen(
            [executable, *args],
            env=environment(broker, **more),
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as app,
    ):
        assert app.stdout is not None
        while app.stdout.readline() not in ("ready\n", ""):
            pass  # LiteLLM prints advice
        out, _ = app.communicate(needle[::-1] + "\n", timeout=200)
        errors.seek(0)
        said = errors.read()
    assert app.returncode == 0, said
    result: dict[str, Any] = json.loads(out.splitlines()[0])
    return {**result, "stderr": said}


def unexpected(
    results: Mapping[str, str], expected: Mapping[str, tuple[str, int]], needle: str
) -> dict[str, str]:
    """Return the results of an app's checks that are not as expected.

    Args:
        results: By the name of the check.
        expected: For each check a pattern that it must give, and how often.
        needle: What none of them may hold.
    """
    return {
        name: result
        for name, result in results.items()
        for pattern, count in [expected[name]]
        if len(re.findall(pattern, result)) != count or needle in result
    }
