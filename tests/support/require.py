"""What may a test ask of the machine that it runs on?

On a user's machine a missing part skips the test and says what to install. In CI (``CI=true``)
it fails: a gate that is not there must not look like one that was passed.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest


def require_program(name: str, install_hint: str) -> str:
    """Return the path of a program.

    Args:
        name: Such as ``ssh-agent``.
        install_hint: What to type to get it.
    """
    return shutil.which(name) or _missing(f"{name} is not installed: {install_hint}")


def require_file(path: Path, install_hint: str) -> None:
    """Go on only where a file is that something else puts there."""
    if not path.exists():
        _missing(f"{path} is not there: {install_hint}")


def require_root() -> None:
    """Go on only as root, who can become another user."""
    if os.geteuid() != 0:
        _missing("this test becomes another user: run it as root")


def require_linux() -> None:
    """Go on only where there is a /proc and a pidfd. Elsewhere it is no gap, even in CI."""
    if sys.platform != "linux":
        pytest.skip("this test looks at Linux itself")


def require_file_readable(path: Path, uid: int, advice: str) -> None:
    """Go on only where another user, in no group of ours, can read a folder."""
    for folder in (path, *path.parents):
        found = folder.stat()
        needed = 0o500 if found.st_uid == uid else 0o005
        if found.st_mode & needed != needed:
            _missing(f"uid {uid} cannot read {folder}: {advice}")


def require_writable(path: str, why: str) -> None:
    """Go on only where a file of the system can be written."""
    if not os.access(path, os.W_OK):
        _missing(f"{path} cannot be written: {why}")


def require_namespaces(there: bool) -> None:
    """Go on only where the server of a test has namespaces, as each of OpenBao does."""
    if not there and os.environ.get("VAULT_BIN"):
        pytest.skip("HashiCorp's free server knows of no namespaces")
    if not there:
        _missing("the server knows of no namespaces")


def _missing(what: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
