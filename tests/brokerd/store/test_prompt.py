"""A keyring that shows a prompt, which nobody answers."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from brokerd.store import Store, StoreStatus
from brokershim.errors import (
    BackendTimeout,
    Locked,
)
from tests.brokerd.store.conftest import KEY
from tests.support.memory_keyring import MemoryKeyring


class _Slow(MemoryKeyring):
    """A keyring that shows a prompt, which nobody answers yet."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answered = threading.Event(), threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.set()
        assert self.answered.wait(30)
        return super().get_password(service, username)


@pytest.fixture
def slow(
    with_keyring: Path, keyring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> tuple[_Slow, Store]:
    """A store whose keyring does not answer."""
    found = _Slow()
    found.entries = keyring.entries
    monkeypatch.setattr("brokerd.keyring.find_keyring", lambda: found)
    return found, Store(str(with_keyring), "auto")


def _in_thread(store: Store) -> tuple[threading.Thread, list[Exception | bytes]]:
    results: list[Exception | bytes] = []

    def work() -> None:
        try:
            results.append(store.fetch("openai/dev").value)
        except Locked as error:
            results.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, results


def test_a_prompt_that_nobody_answers_holds_up_one_call_only(
    slow: tuple[_Slow, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring, store = slow
    thread, results = _in_thread(store)
    assert keyring.asked.wait(30)
    monkeypatch.setattr("brokerd.store.access._WAIT_SECONDS", 0.01)
    with pytest.raises(BackendTimeout, match="keyring"):
        store.list()
    assert store.status() == StoreStatus(True, True, "keyring", None, 2)
    keyring.answered.set()
    thread.join()
    assert results == [KEY]
    assert store.fetch("openai/dev").value == KEY


def test_a_lock_wins_over_a_key_that_is_on_its_way(slow: tuple[_Slow, Store]) -> None:
    keyring, store = slow
    thread, results = _in_thread(store)
    assert keyring.asked.wait(30)
    store.lock()
    keyring.answered.set()
    thread.join()
    assert isinstance(results[0], Locked)
    assert store.status().locked
    with pytest.raises(Locked):
        store.list()
