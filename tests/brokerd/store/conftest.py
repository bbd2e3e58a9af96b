"""A place for a store, a keyring in memory, and a key derivation that costs nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brokerd.store import Store
from brokerd.store.format import Argon2id
from tests.support.memory_keyring import MemoryKeyring, use

PASSPHRASE = "correct horse"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store will stand."""
    return tmp_path / "state" / "secrets.sealed"


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    """The keyring that the store finds."""
    found = MemoryKeyring()
    use(monkeypatch, found)
    return found


@pytest.fixture
def no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store finds no keyring."""
    use(monkeypatch, None)


@pytest.fixture
def cheap_kdf(monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase costs nothing to try."""
    cheap = "brokerd.store.masterkey.new_kdf"
    monkeypatch.setattr(cheap, lambda: Argon2id(os.urandom(16), 1, 4, 32))


@pytest.fixture
def store(path: Path, keyring: MemoryKeyring) -> Store:
    """A store with a keyring and nothing in it yet."""
    del keyring
    return Store(str(path), "auto")
