"""A process that writes the store step by step, to be killed at one of them."""

from __future__ import annotations

import os
import sys
from typing import Any
from unittest import mock

import brokerd.files
from brokerd.store import Store
from tests.support.steps import around, step

PASSPHRASE = "correct horse"


def _write_half(real: Any) -> Any:
    def write(fd: int, data: bytes) -> int:
        if sys.argv[1] == "half written":
            real(fd, data[: len(data) // 2])
            step("half written")
        return int(real(fd, data))

    return write


def main() -> None:
    """Store a second value; the first is stored already."""
    store = Store(sys.argv[2], "passphrase")
    store.unlock(PASSPHRASE, create=False)
    assert brokerd.files.__name__ in sys.modules
    mock.patch("brokerd.files.os.write", _write_half(os.write)).start()
    around("brokerd.files.sync_data", "written", "synced")
    around("os.rename", "before the rename", "after the rename")
    around("brokerd.files.sync_folder", "before the folder's sync", "after the folder's sync")
    store.set("openai/dev", b"sk-second")
    step("stored")


main()
