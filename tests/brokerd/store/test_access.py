"""When the store is open, when it is locked, and who may make one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from brokerd.store import Store, StoreStatus
from brokerd.store.access import Access
from brokershim.errors import (
    KeyringUnavailable,
    Locked,
    NotFound,
    UsageError,
    WrongPassphrase,
)
from tests.brokerd.store.conftest import KEY, PASSPHRASE
from tests.support.memory_keyring import MemoryKeyring


def _needs(caught: pytest.ExceptionInfo[Locked]) -> Any:
    return caught.value.details.get("needs")


def test_a_status_without_a_store(store: Store) -> None:
    assert store.status() == StoreStatus(False, False, None, None, 0)


def test_a_keyring_store_opens_by_itself(with_keyring: Path) -> None:
    store = Store(str(with_keyring), "auto")
    assert store.status() == StoreStatus(True, True, "keyring", None, 2)
    assert store.fetch("openai/dev").value == KEY
    assert store.status() == StoreStatus(True, False, "keyring", None, 2)


def test_a_passphrase_store_waits_for_its_passphrase(with_passphrase: Path) -> None:
    store = Store(str(with_passphrase), "auto")
    assert store.status() == StoreStatus(True, True, "passphrase", None, 2)
    for look in (
        store.list,
        lambda: store.fetch("openai/dev"),
        lambda: store.set("openai/x", KEY),
    ):
        with pytest.raises(Locked) as caught:
            look()
        assert _needs(caught) == "passphrase"
    assert not store.unlock(PASSPHRASE, create=False)
    assert store.fetch("openai/dev").value == KEY
    assert store.status() == StoreStatus(True, False, "passphrase", None, 2)


def test_unlock_asks_for_the_passphrase(with_passphrase: Path) -> None:
    with pytest.raises(Locked) as caught:
        Store(str(with_passphrase), "auto").unlock(None, create=True)
    assert _needs(caught) == "passphrase"


def test_a_wrong_passphrase_opens_nothing(with_passphrase: Path) -> None:
    store = Store(str(with_passphrase), "auto")
    with pytest.raises(WrongPassphrase):
        store.unlock("wrong horse", create=True)
    with pytest.raises(Locked):
        store.list()


def test_a_wrong_passphrase_does_not_close_an_open_store(with_passphrase: Path) -> None:
    store = Store(str(with_passphrase), "auto")
    store.unlock(PASSPHRASE, create=False)
    with pytest.raises(WrongPassphrase):
        store.unlock("wrong horse", create=False)
    assert not store.unlock(None, create=False)
    assert store.fetch("openai/dev").value == KEY


def test_a_passphrase_never_reaches_the_file_or_an_error(with_passphrase: Path) -> None:
    assert PASSPHRASE.encode() not in with_passphrase.read_bytes()
    with pytest.raises(WrongPassphrase) as caught:
        Store(str(with_passphrase), "auto").unlock("wrong horse", create=True)
    assert "wrong horse" not in repr(caught.value) + str(caught.value.to_wire())
    assert caught.value.__context__ is None


@pytest.mark.parametrize("passphrase", ["", "seven.."])
def test_a_short_passphrase_makes_no_store(path: Path, no_keyring: None, passphrase: str) -> None:
    del no_keyring
    with pytest.raises(UsageError, match="at least 8"):
        Store(str(path), "auto").unlock(passphrase, create=True)
    assert not path.exists()


def test_without_a_keyring_a_passphrase_has_to_be_chosen(path: Path, no_keyring: None) -> None:
    del no_keyring
    store = Store(str(path), "auto")
    for start in (
        lambda: store.set("openai/dev", KEY),
        lambda: store.unlock(None, create=True),
    ):
        with pytest.raises(Locked, match="no store yet, and no keyring") as caught:
            start()
        assert _needs(caught) == "new-passphrase"
        assert "brokerctl unlock" in caught.value.hint
    assert not path.exists()


def test_a_keyring_that_refuses_is_not_passed_over_in_silence(
    store: Store, path: Path, keyring: MemoryKeyring
) -> None:
    keyring.refuse = TimeoutError()
    with pytest.raises(Locked, match="the keyring of the operating system refuses") as caught:
        store.set("openai/dev", KEY)
    assert _needs(caught) == "new-passphrase"
    assert not path.exists()


def test_unlock_makes_a_keyring_store(store: Store, keyring: MemoryKeyring) -> None:
    assert store.unlock(None, create=True)
    assert store.status() == StoreStatus(True, False, "keyring", None, 1)
    assert len(keyring.entries) == 1
    assert not store.unlock(None, create=True)
    assert len(keyring.entries) == 1


def test_a_passphrase_wins_over_the_keyring_for_a_new_store(
    store: Store, keyring: MemoryKeyring, cheap_kdf: None
) -> None:
    del cheap_kdf
    assert store.unlock(PASSPHRASE, create=True)
    assert store.status().master_key == "passphrase"
    assert keyring.entries == {}


def test_unlock_makes_nothing_unasked(store: Store, path: Path) -> None:
    for passphrase in (None, PASSPHRASE):
        with pytest.raises(NotFound, match="no store yet"):
            store.unlock(passphrase, create=False)
    assert not path.exists()


def test_a_keyring_store_takes_no_passphrase(with_keyring: Path) -> None:
    store = Store(str(with_keyring), "auto")
    with pytest.raises(UsageError, match="no passphrase"):
        store.unlock(PASSPHRASE, create=True)


def test_locked_by_hand_it_stays_locked(with_keyring: Path) -> None:
    store = Store(str(with_keyring), "auto")
    store.list()
    store.lock()
    assert store.status().locked
    for look in (store.list, lambda: store.set("openai/dev", b"sk-new")):
        with pytest.raises(Locked) as caught:
            look()
        assert _needs(caught) is None
        assert "brokerctl unlock" in caught.value.hint
    assert not store.unlock(None, create=False)
    store.lock()
    assert not store.unlock(None, create=True)
    assert store.fetch("openai/dev").value == KEY


def test_an_unlock_that_fails_leaves_it_locked(with_keyring: Path, keyring: MemoryKeyring) -> None:
    store = Store(str(with_keyring), "auto")
    store.lock()
    keyring.refuse = TimeoutError()
    with pytest.raises(KeyringUnavailable):
        store.unlock(None, create=True)
    keyring.refuse = None
    with pytest.raises(Locked):
        store.list()


def test_locking_needs_no_store(store: Store, path: Path) -> None:
    store.lock()
    assert store.list() == ()
    assert not path.exists()


def test_a_keyring_without_the_key_gets_no_new_one(
    with_keyring: Path, keyring: MemoryKeyring
) -> None:
    before = with_keyring.read_bytes()
    keyring.entries.clear()
    store = Store(str(with_keyring), "auto")
    for use in (
        store.list,
        lambda: store.set("openai/dev", b"sk-new"),
        lambda: store.unlock(None, create=True),
    ):
        with pytest.raises(KeyringUnavailable, match="has no key for") as caught:
            use()
        assert str(with_keyring) in caught.value.message
    assert keyring.entries == {}
    assert with_keyring.read_bytes() == before


def test_without_its_keyring_a_store_stays_shut(
    with_keyring: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brokerd.keyring.find_keyring", lambda: None)
    with pytest.raises(KeyringUnavailable, match="no keyring"):
        Store(str(with_keyring), "auto").list()


def test_no_repr_shows_a_key(with_keyring: Path, keyring: MemoryKeyring) -> None:
    store = Store(str(with_keyring), "auto")
    opened = Access._read(store)
    (master,) = keyring.entries.values()
    shown = repr(opened) + repr(store) + repr(vars(store))
    assert repr(bytes.fromhex(master)) not in shown
    assert KEY.decode() not in shown
