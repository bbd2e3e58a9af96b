"""Killed at any step of a write, a daemon leaves the old store or the new one, whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brokerd.store import Store
from tests.brokerd.store.conftest import PASSPHRASE
from tests.support.steps import killed_at

CHILD = "tests.brokerd.store.writing_child"
BEFORE = ["half written", "written", "synced", "before the rename"]
AFTER = ["after the rename", "before the folder's sync", "after the folder's sync", "stored"]


@pytest.mark.parametrize("step", [*BEFORE, *AFTER])
def test_a_crash_leaves_one_store_whole(path: Path, step: str) -> None:
    store = Store(str(path), "passphrase")
    store.unlock(PASSPHRASE, create=True)
    store.set("openai/dev", b"sk-first")
    killed_at(step, CHILD, str(path))

    again = Store(str(path), "passphrase")
    again.unlock(PASSPHRASE, create=False)
    expected = b"sk-first" if step in BEFORE else b"sk-second"
    assert again.fetch("openai/dev").value == expected
    assert len(os.listdir(path.parent)) == (2 if step in BEFORE else 1)
    again.set("openai/dev", b"sk-third")
    assert os.listdir(path.parent) == [path.name]
