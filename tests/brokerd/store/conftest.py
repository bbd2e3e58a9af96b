"""A place for a store, a keyring in memory, and a key derivation that costs nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brokerd.store import Store
from brokerd.store.format import Argon2id
from tests.support.memory_keyring import MemoryKeyring, use

PASSPHRASE = "correct horse"
KEY = b"sk-current"
"""The value of openai/dev, where there is one."""


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


@pytest.fixture
def full(store: Store) -> Store:
    """An open store with two secrets, of which one has two versions."""
    store.set("openai/dev", b"sk-older")
    store.set("openai/dev", KEY)
    store.set("openai/prod", b"sk-prod", hosts=["prod.example"])
    return store


@pytest.fixture
def another(tmp_path: Path, keyring: MemoryKeyring) -> Path:
    """The file of another store, whose key is in the same keyring."""
    del keyring
    path = tmp_path / "another" / "secrets.sealed"
    Store(str(path), "auto").set("openai/dev", b"sk-of-another-store")
    return path


@pytest.fixture
def with_passphrase(path: Path, no_keyring: None, cheap_kdf: None) -> Path:
    """A locked passphrase store that holds one secret."""
    del no_keyring, cheap_kdf
    store = Store(str(path), "auto")
    assert store.unlock(PASSPHRASE, create=True)
    store.set("openai/dev", KEY)
    return path


@pytest.fixture
def with_keyring(path: Path, keyring: MemoryKeyring) -> Path:
    """A keyring store that holds one secret."""
    del keyring
    Store(str(path), "auto").set("openai/dev", KEY)
    return path
