"""Would the shim load in the `python3` of the PATH, and are the libraries there supported?"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

import brokershim
from brokerctl import launch, program
from brokerctl.checks.check import Check
from brokershim.errors import UsageError
from brokershim.paths import socket_path

_SECONDS = 30.0
_OLDEST_LITELLM = (1, 92, 2)
_MALICIOUS = {"1.82.7", "1.82.8"}  # 24 March 2026: a .pth file in them stole keys
_SAYS = "brokershim: "
# First of all: with -c the working folder stands in sys.path, and it may be a stranger's checkout
# with a json.py of its own.
_PROBE = """
import sys
sys.path[:] = [folder for folder in sys.path if folder]
import importlib, json
try:
    from importlib import metadata
except ImportError:
    metadata = None
versions = {}
for name in ("httpx", "httpx2", "litellm") if metadata else ():
    try:
        versions[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        continue
    if name != "litellm":
        importlib.import_module(name)
print(json.dumps({"shim": "brokershim" in sys.modules, "versions": versions}))
"""


def python(environ: Mapping[str, str]) -> Iterator[Check]:
    """Run `python3` with the environment that `brokerctl run` would give it, and ask it.

    LiteLLM is not imported: that takes seconds, and its bad versions must not run.
    """
    try:
        path = program.find(["python3"], environ).path
    except UsageError as problem:
        yield Check("python3", "warn", problem.message, "activate your app's environment")
        return
    done = _ask(path, environ)
    if done is None or done.returncode != 0:
        yield Check("python3", "fail", f"{path} cannot run a line of Python", "mend or replace it")
        return
    found = json.loads(done.stdout)
    yield _shim(path, found["shim"], done.stderr)
    yield from _versions(found["versions"])


def _ask(path: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str] | None:
    boot = os.path.join(os.path.dirname(brokershim.__file__), "boot")
    session = launch.Session("doctor", socket_path(), boot)
    child, _ = launch.child_environment(environ, {}, (), session)
    try:
        return subprocess.run(
            [path, "-c", _PROBE],
            env=child,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


def _shim(path: str, loaded: bool, said: str) -> Check:
    """Judge by whether the shim is there, and by what it said of what it cannot do."""
    complaints = [line for line in said.splitlines() if line.startswith(_SAYS)]
    if complaints:
        detail = f"{path}: {complaints[0].removeprefix(_SAYS)}"
        return Check("shim", "fail", detail, "use Python 3.9 or newer, and another httpx")
    if not loaded:
        detail = f"{path} does not load the shim: references go upstream, and are refused there"
        hint = (
            "is it a wrapper with -I, -E or -S, or is there another sitecustomize? "
            "call `brokershim.install()` in the app"
        )
        return Check("shim", "fail", detail, hint)
    return Check("shim", "ok", f"loads in {path}")


def _versions(versions: dict[str, Any]) -> Iterator[Check]:
    litellm = versions.pop("litellm", None)
    for name, version in versions.items():
        yield Check(name, "ok", f"version {version}")
    if litellm is not None:
        yield _litellm(str(litellm))


def _litellm(version: str) -> Check:
    if version in _MALICIOUS:
        hint = "remove it, and replace every key that this machine has seen"
        return Check("litellm", "fail", f"version {version} steals keys", hint)
    parts = tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())
    if parts < _OLDEST_LITELLM:
        oldest = ".".join(map(str, _OLDEST_LITELLM))
        detail = f"version {version} is older than {oldest}, the oldest that is tested"
        return Check("litellm", "warn", detail, "install a newer one")
    return Check("litellm", "ok", f"version {version}")
