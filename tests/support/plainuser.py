"""Runs code where permissions hold: root may write anywhere, so a child gives that up first."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65534
# The imports come before the drop: the interpreter may stand in root's own home.
_DROP = """
import os, sys
folder = sys.argv[1]
if os.geteuid() == 0:
    os.setgroups([]); os.setgid({nobody}); os.setuid({nobody})
"""


@contextmanager
def plain_folder() -> Generator[Path]:
    """Yield a folder of the user that `run_as_plain_user` runs as."""
    folder = Path(tempfile.mkdtemp())
    if os.geteuid() == 0:
        os.chown(folder, _NOBODY, _NOBODY)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def run_as_plain_user(imports: str, code: str, folder: Path) -> str:
    """Run Python code as a user that is not root; return what it printed.

    Args:
        imports: Import statements.
        code: The code; ``folder`` is the folder's path in it.
        folder: One made by `plain_folder`.
    """
    script = imports + _DROP.format(nobody=_NOBODY) + code
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout
