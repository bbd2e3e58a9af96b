"""Runs a child up to a named step and kills it there, as a crash would: no handler runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

_ROOT = Path(__file__).parents[2]


def killed_at(step: str, module: str, *args: str) -> None:
    """Run ``python -m module step args…`` until it says that it is at that step; kill -9 it."""
    command = [sys.executable, "-m", module, step, *args]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = child.stdout.readline()
        child.kill()
    assert said == f"at {step}\n"
    assert child.returncode == -signal.SIGKILL


def step(name: str) -> None:
    """In the child: stop here for good where this is the step that was asked for."""
    if name == sys.argv[1]:
        print("at", name, flush=True)
        signal.pause()


def around(where: str, before: str, after: str) -> None:
    """In the child: name the steps just before and just after every call of a function."""
    module, _, name = where.rpartition(".")
    real: Callable[..., Any] = getattr(sys.modules[module], name)

    def call(*args: Any) -> Any:
        step(before)
        result = real(*args)
        step(after)
        return result

    mock.patch(where, call).start()


def halfway(name: str, marker: bytes) -> None:
    """In the child: name the step where half of a line that holds a marker is written."""
    real = os.write

    def write(fd: int, data: bytes) -> int:
        if marker in data and name == sys.argv[1]:
            real(fd, data[: len(data) // 2])
            step(name)
        return real(fd, data)

    mock.patch("os.write", write).start()
