"""A login in the keyring is read as it was written, or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from brokerd.backends.keeper import Keeper
from brokerd.keyring import Entry
from tests.support.memory_keyring import MemoryKeyring, use

BOUND = {"server": "https://a", "role": "dev"}


@dataclass(frozen=True)
class Kept:
    token: str
    until: float
    renewable: bool


KEPT = Kept("a-token", 1.5, True)


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    found = MemoryKeyring()
    use(monkeypatch, found)
    return found


def keeper(**bound: str) -> Keeper[Kept]:
    return Keeper(Kept, Entry("backend/a", "the login of a", "unlock it"), {**BOUND, **bound})


def test_a_login_is_kept_until_it_is_dropped(keyring: MemoryKeyring) -> None:
    assert keeper().load() is None
    keeper().save(KEPT)
    assert keeper().load() == KEPT
    keeper(role="other").drop()
    assert keeper().load() is None
    assert keyring.entries == {}


@pytest.mark.parametrize("bound", [{"server": "https://b"}, {"role": ""}, {"more": "x"}])
def test_a_login_of_something_else_is_none(keyring: MemoryKeyring, bound: dict[str, str]) -> None:
    del keyring  # it is there
    keeper().save(KEPT)
    assert keeper(**bound).load() is None


@pytest.mark.parametrize(
    "change",
    [
        {"token": None},
        {"token": 1},
        {"until": "1.5"},
        {"until": 1},
        {"until": float("inf")},
        {"until": float("nan")},
        {"renewable": 1.0},
        {"more": "x"},
        {"bound": None},
    ],
)
def test_what_is_no_login_is_none(keyring: MemoryKeyring, change: dict[str, Any]) -> None:
    entry = json.dumps({"bound": BOUND, **asdict(KEPT), **change})
    keyring.entries["brokerctl", "backend/a"] = entry
    assert keeper().load() is None


@pytest.mark.parametrize("entry", ["", "nonsense", "[]", "{}", "[" * 100_000])
def test_nor_is_what_is_no_document(keyring: MemoryKeyring, entry: str) -> None:
    keyring.entries["brokerctl", "backend/a"] = entry
    assert keeper().load() is None
