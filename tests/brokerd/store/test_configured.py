"""What the configuration says of the master key is what is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from brokerd.store import Store
from brokershim.errors import (
    ConfigError,
    KeyringUnavailable,
    Locked,
)
from tests.brokerd.store.conftest import KEY, PASSPHRASE
from tests.support.memory_keyring import MemoryKeyring


def test_the_configuration_can_ask_for_the_keyring_only(path: Path, no_keyring: None) -> None:
    del no_keyring
    store = Store(str(path), "keyring")
    for start in (
        lambda: store.set("openai/dev", KEY),
        lambda: store.unlock(None, create=True),
    ):
        with pytest.raises(KeyringUnavailable, match="no keyring"):
            start()
    with pytest.raises(ConfigError):
        store.unlock(PASSPHRASE, create=True)
    assert not path.exists()


def test_the_configuration_can_ask_for_a_passphrase_only(
    path: Path, keyring: MemoryKeyring
) -> None:
    store = Store(str(path), "passphrase")
    for start in (
        lambda: store.set("openai/dev", KEY),
        lambda: store.unlock(None, create=True),
    ):
        with pytest.raises(Locked) as caught:
            start()
        assert caught.value.details["needs"] == "new-passphrase"
    assert keyring.entries == {}
    assert not path.exists()


def test_a_store_of_the_other_kind_is_not_opened(with_keyring: Path) -> None:
    with pytest.raises(ConfigError, match="comes from the keyring"):
        Store(str(with_keyring), "passphrase").list()


def test_a_passphrase_store_is_not_opened_where_the_keyring_is_wanted(
    with_passphrase: Path,
) -> None:
    store = Store(str(with_passphrase), "keyring")
    with pytest.raises(ConfigError, match="comes from the passphrase"):
        store.unlock(PASSPHRASE, create=False)
