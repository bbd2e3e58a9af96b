"""Where is measured? In a broker of its own, on a disk in memory where there is one."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Generator

from demo.home import Home

SECRET = "openai/bench"  # noqa: S105  (a name)
KEY = "sk-proj-" + "not-a-real-key-" * 2
HOST = "127.0.0.1"
_IN_MEMORY = "/dev/shm"  # noqa: S108  (mkdtemp makes a private folder in it)
_POLICY = """
[[grant]]
secrets = ["openai/bench"]
unsafe_any_session = true
"""


@contextlib.contextmanager
def bench_home() -> Generator[Home]:
    """Yield a home whose broker runs and holds one secret; end and remove everything after."""
    with home_in_memory() as home:
        home.write(".config/brokerctl/policy.toml", _POLICY)
        for done in (home.unlock(), home.run(f"brokerctl secret set {SECRET} --host {HOST}", KEY)):
            if done.status != 0:
                raise RuntimeError(done.stderr)
        yield home


@contextlib.contextmanager
def home_in_memory() -> Generator[Home]:
    """Yield an empty home; end the broker that runs in it then, and remove everything after."""
    in_memory = os.path.isdir(_IN_MEMORY) and os.access(_IN_MEMORY, os.W_OK)
    root = tempfile.mkdtemp(prefix="bench-", dir=_IN_MEMORY if in_memory else None)
    home = Home(root)
    try:
        yield home
    finally:
        home.stop()
        shutil.rmtree(root)
