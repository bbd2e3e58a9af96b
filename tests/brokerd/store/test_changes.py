"""What others write is seen, and never overwritten."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest import mock

import pytest

from brokerd.store import Store
from brokerd.store.file import StoreFile
from brokershim.errors import BackendUnavailable
from tests.brokerd.store.conftest import KEY
from tests.support.memory_keyring import MemoryKeyring


def test_what_another_process_wrote_is_seen(full: Store, path: Path) -> None:
    Store(str(path), "auto").set("openai/dev", b"sk-newer")
    assert full.fetch("openai/dev").value == b"sk-newer"


def test_a_change_between_the_read_and_the_write_is_not_overwritten(
    full: Store, path: Path
) -> None:
    other = Store(str(path), "auto")
    real = Store._read

    def read_and_be_late(store: Store) -> object:
        opened = real(store)
        if store is full:
            other.set("openai/prod", b"sk-of-the-other")
        return opened

    with (
        mock.patch.object(Store, "_read", read_and_be_late),
        pytest.raises(BackendUnavailable, match="another program changed"),
    ):
        full.set("openai/dev", b"sk-late")
    assert full.fetch("openai/prod").value == b"sk-of-the-other"
    assert full.fetch("openai/dev").value == KEY
    full.set("openai/dev", b"sk-late")
    assert other.fetch("openai/dev").value == b"sk-late"


def test_a_change_that_the_clock_did_not_show_is_not_overwritten(full: Store, path: Path) -> None:
    same = StoreFile(str(path)).stamp()
    with mock.patch.object(StoreFile, "stamp", return_value=same):
        full.list()
        Store(str(path), "auto").set("openai/prod", b"sk-of-the-other")
        with pytest.raises(BackendUnavailable, match="another program changed"):
            full.set("openai/dev", b"sk-late")
        full.set("openai/dev", b"sk-late")
    assert full.fetch("openai/prod").value == b"sk-of-the-other"


def test_the_first_write_does_not_overwrite_a_file_that_appeared(
    store: Store, path: Path, another: Path, keyring: MemoryKeyring
) -> None:
    real = keyring.set_password

    def appear(service: str, username: str, password: str) -> None:
        real(service, username, password)
        path.parent.mkdir(mode=0o700)
        shutil.copy(another, path)

    with (
        mock.patch.object(keyring, "set_password", appear),
        pytest.raises(BackendUnavailable, match="another program changed"),
    ):
        store.set("openai/dev", KEY)
    assert path.read_bytes() == another.read_bytes()
