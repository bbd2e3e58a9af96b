"""The embedded store as a backend, locked and unlocked in its two ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from brokerd.backends.embedded import EmbeddedBackend
from brokerd.model import BoundedBy
from brokerd.store import Store
from brokershim.errors import Locked, StoreCorrupted
from tests.contract.backend import BackendContract, Given
from tests.support.memory_keyring import MemoryKeyring, use

NAME, KEY = "openai/dev", b"sk-of-the-embedded-store"


class _Embedded(BackendContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        raise NotImplementedError

    @pytest.fixture
    def given(self, store: Store, tmp_path: Path) -> Given:
        store.set(NAME, KEY)

        def tamper() -> None:
            file = tmp_path / "state" / "secrets.sealed"
            file.write_bytes(file.read_bytes().replace(b"api.openai.com", b"api.openai.cam"))

        return Given(
            EmbeddedBackend(store), NAME, KEY, lambda value: store.set(NAME, value), tamper
        )

    def test_only_the_broker_ends_a_lease_of_it(self, given: Given) -> None:
        assert given.backend.fetch(NAME).bounded_by is BoundedBy.BROKER

    def test_a_damaged_store_gives_nothing(self, given: Given) -> None:
        given.break_it()
        with pytest.raises(StoreCorrupted):
            given.backend.fetch(NAME)

    def test_a_locked_store_gives_nothing(self, given: Given, store: Store) -> None:
        revision = given.backend.revision()
        store.lock()
        assert given.backend.revision() != revision
        for look in (given.backend.describe, given.backend.fetch):
            with pytest.raises(Locked):
                look(NAME)


class TestWithAKeyring(_Embedded):
    """Opened by the keyring."""

    @pytest.fixture
    def store(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
        use(monkeypatch, MemoryKeyring())
        return Store(str(tmp_path / "state" / "secrets.sealed"), "keyring")


class TestWithAPassphrase(_Embedded):
    """Opened by a passphrase."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        store = Store(str(tmp_path / "state" / "secrets.sealed"), "passphrase")
        store.unlock("correct horse", create=True)
        return store
