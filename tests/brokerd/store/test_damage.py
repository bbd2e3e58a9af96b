"""A store that is not whole, not ours or not the newest is named, and never overwritten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from brokerd.store import Store
from brokerd.store.format import decode, encode
from brokershim.errors import (
    KeyringUnavailable,
    StoreCorrupted,
)
from tests.brokerd.store.conftest import KEY, PASSPHRASE
from tests.brokerd.store.refusal import assert_refused, uses
from tests.support.memory_keyring import MemoryKeyring

Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    "raw",
    [b"", b"\n", b"{}", b"not json", b"\x00" * 4096, b'{"format":1}\n', b'{"format":2}\n'],
)
def test_what_is_no_store_is_left_alone(full: Store, path: Path, raw: bytes) -> None:
    path.write_bytes(raw)
    assert_refused(path, [full, Store(str(path), "auto")], StoreCorrupted, "is damaged")


def test_a_file_that_is_cut_off_anywhere_is_left_alone(full: Store, path: Path) -> None:
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        for store in (full, Store(str(path), "auto")):
            with pytest.raises(StoreCorrupted, match="is damaged"):
                store.set("openai/dev", b"sk-new")
        assert path.read_bytes() == whole[:length]
    path.write_bytes(whole)
    assert full.fetch("openai/dev").value == KEY


def _edit(path: Path, change: Change) -> None:
    """Change the file as somebody would who knows the format and has no key."""
    document = json.loads(path.read_bytes())
    change(document)
    path.write_bytes(json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    decode(path.read_bytes())


def _exchange_values(document: dict[str, Any]) -> None:
    one, other = (document["secrets"][name]["versions"] for name in ("openai/dev", "openai/prod"))
    one[-1]["sealed"], other[-1]["sealed"] = other[-1]["sealed"], one[-1]["sealed"]


def _exchange_versions(document: dict[str, Any]) -> None:
    one, other = document["secrets"]["openai/dev"]["versions"]
    one["sealed"], other["sealed"] = other["sealed"], one["sealed"]


EDITS: list[Change] = [
    _exchange_values,
    _exchange_versions,
    lambda d: d["secrets"].update({"openai/dev": d["secrets"]["openai/prod"]}),
    lambda d: d["secrets"]["openai/dev"]["versions"].pop(),
    lambda d: d["secrets"]["openai/dev"]["versions"].reverse(),
    lambda d: d["secrets"]["openai/dev"]["versions"][0].update(number=3),
    lambda d: d["secrets"]["openai/dev"]["versions"][0].update(created="2020-01-01T00:00:00Z"),
    lambda d: d["secrets"].pop("openai/dev"),
    lambda d: d["secrets"].clear(),
    lambda d: d["secrets"]["openai/dev"].update(hosts=["evil.example"]),
    lambda d: d["secrets"]["openai/dev"].update(provider="evil"),
    lambda d: d["secrets"]["openai/dev"].update(max_ttl=86400.0),
    lambda d: d.update(generation=99),
    lambda d: d.update(retired={"openai/dev": 1}),
    lambda d: d.update(mac=""),
]


@pytest.mark.parametrize("change", EDITS)
def test_every_edit_is_found(full: Store, path: Path, change: Change) -> None:
    _edit(path, change)
    assert_refused(path, [full, Store(str(path), "auto")], StoreCorrupted, "was edited")
    assert "was edited" in str(full.status().damaged)


def test_a_store_with_another_check_is_not_opened(full: Store, path: Path) -> None:
    _edit(path, lambda d: d["master_key"].update(check=""))
    assert_refused(path, [full], StoreCorrupted, "was edited")
    assert_refused(path, [Store(str(path), "auto")], StoreCorrupted, "does not fit")


def test_another_stores_file_is_found(full: Store, path: Path, another: Path) -> None:
    shutil.copy(another, path)
    assert_refused(path, [full], StoreCorrupted, "another store")


def test_another_stores_id_does_not_fit(full: Store, path: Path, another: Path) -> None:
    other = json.loads(another.read_bytes())["id"]
    _edit(path, lambda d: d.update(id=other))
    assert_refused(path, [full], StoreCorrupted, "another store")
    assert_refused(path, [Store(str(path), "auto")], StoreCorrupted, "does not fit")


def test_an_unknown_id_has_no_key(full: Store, path: Path) -> None:
    _edit(path, lambda d: d.update(id="f" * 32))
    assert_refused(path, [full], StoreCorrupted, "another store")
    assert_refused(path, [Store(str(path), "auto")], KeyringUnavailable, "has no key")


def test_an_older_copy_is_found(full: Store, path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "copy")
    full.set("openai/dev", b"sk-newer")
    shutil.copy(tmp_path / "copy", path)
    assert_refused(path, [full], StoreCorrupted, "older copy")
    assert "older copy" in str(full.status().damaged)


def test_another_copy_of_the_same_age_is_found(full: Store, path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "copy")
    Store(str(path), "auto").set("openai/dev", b"sk-branch")
    shutil.copy(path, tmp_path / "branch")
    shutil.copy(tmp_path / "copy", path)
    full.set("openai/dev", b"sk-newer")
    shutil.copy(tmp_path / "branch", path)
    assert_refused(path, [full], StoreCorrupted, "older copy")


def test_a_good_copy_put_back_is_taken(full: Store, path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "copy")
    path.write_bytes(b"")
    with pytest.raises(StoreCorrupted):
        full.list()
    shutil.copy(tmp_path / "copy", path)
    assert full.fetch("openai/dev").value == KEY
    assert full.status().damaged is None


def test_a_file_that_vanishes_is_not_made_anew(
    full: Store, path: Path, keyring: MemoryKeyring
) -> None:
    path.unlink()
    for use in uses(full):
        with pytest.raises(StoreCorrupted, match="is gone"):
            use()
    assert not path.exists()
    assert len(keyring.entries) == 1
    assert "is gone" in str(full.status().damaged)


@pytest.mark.parametrize("change", [{"iterations": 1}, {"memory_kib": 8}, {"memory_kib": 2**31}])
def test_a_weaker_or_endless_key_derivation_is_not_run(
    path: Path, no_keyring: None, change: dict[str, Any]
) -> None:
    del no_keyring
    store = Store(str(path), "auto")
    store.unlock(PASSPHRASE, create=True)
    document, mac = decode(path.read_bytes())
    assert document.kdf is not None
    weaker = replace(document, kdf=replace(document.kdf, **change))
    path.write_bytes(encode(weaker, mac))
    with pytest.raises(StoreCorrupted, match="key derivation"):
        Store(str(path), "auto").unlock(PASSPHRASE, create=False)
