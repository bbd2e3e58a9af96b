"""A store that is not whole, not ours or not the newest is named, and never overwritten."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from brokerd.store import Store
from brokerd.store.file import StoreFile
from brokerd.store.format import decode, encode
from brokershim.errors import (
    BackendUnavailable,
    BrokerError,
    InsecurePath,
    KeyringUnavailable,
    StoreCorrupted,
)
from tests.brokerd.store.conftest import PASSPHRASE
from tests.support.faults import broken, no_file_over
from tests.support.memory_keyring import MemoryKeyring
from tests.support.plainuser import plain_folder, run_as_plain_user

Change = Callable[[dict[str, Any]], object]
FIRST, SECOND = b"sk-first", b"sk-second"


@pytest.fixture
def full(store: Store) -> Store:
    """An open store with two secrets, of which one has two versions."""
    store.set("openai/dev", b"sk-older")
    store.set("openai/dev", FIRST)
    store.set("openai/prod", SECOND, hosts=["prod.example"])
    return store


def _uses(store: Store) -> list[Callable[[], object]]:
    return [
        store.list,
        lambda: store.describe("openai/dev"),
        lambda: store.fetch("openai/dev"),
        lambda: store.show("openai/dev"),
        lambda: store.set("openai/dev", b"sk-new"),
        lambda: store.set("mine/new", b"sk-new", hosts=["a.b"]),
        lambda: store.set("openai/dev", max_ttl=1),
        lambda: store.rollback("openai/dev"),
        lambda: store.remove("openai/dev"),
        lambda: store.unlock(None, create=True),
    ]


def _assert_refused(path: Path, stores: list[Store], kind: type[BrokerError], says: str) -> None:
    """Check that every use fails and says why, and that the file is left as it is."""
    before = path.read_bytes()
    for store in stores:
        for use in _uses(store):
            with pytest.raises(kind, match=says) as caught:
                use()
            assert str(path) in caught.value.message
            assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize(
    "raw",
    [b"", b"\n", b"{}", b"not json", b"\x00" * 4096, b'{"format":1}\n', b'{"format":2}\n'],
)
def test_what_is_no_store_is_left_alone(full: Store, path: Path, raw: bytes) -> None:
    path.write_bytes(raw)
    _assert_refused(path, [full, Store(str(path), "auto")], StoreCorrupted, "is damaged")


def test_a_file_that_is_cut_off_anywhere_is_left_alone(full: Store, path: Path) -> None:
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        for store in (full, Store(str(path), "auto")):
            with pytest.raises(StoreCorrupted, match="is damaged"):
                store.set("openai/dev", b"sk-new")
        assert path.read_bytes() == whole[:length]
    path.write_bytes(whole)
    assert full.fetch("openai/dev").value == FIRST


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
    _assert_refused(path, [full, Store(str(path), "auto")], StoreCorrupted, "was edited")
    assert "was edited" in str(full.status().damaged)


def test_a_store_with_another_check_is_not_opened(full: Store, path: Path) -> None:
    _edit(path, lambda d: d["master_key"].update(check=""))
    _assert_refused(path, [full], StoreCorrupted, "was edited")
    _assert_refused(path, [Store(str(path), "auto")], StoreCorrupted, "does not fit")


@pytest.fixture
def another(tmp_path: Path, keyring: MemoryKeyring) -> Path:
    """The file of another store, whose key is in the same keyring."""
    del keyring
    path = tmp_path / "another" / "secrets.sealed"
    Store(str(path), "auto").set("openai/dev", b"sk-of-another-store")
    return path


def test_another_stores_file_is_found(full: Store, path: Path, another: Path) -> None:
    shutil.copy(another, path)
    _assert_refused(path, [full], StoreCorrupted, "another store")


def test_another_stores_id_does_not_fit(full: Store, path: Path, another: Path) -> None:
    other = json.loads(another.read_bytes())["id"]
    _edit(path, lambda d: d.update(id=other))
    _assert_refused(path, [full], StoreCorrupted, "another store")
    _assert_refused(path, [Store(str(path), "auto")], StoreCorrupted, "does not fit")


def test_an_unknown_id_has_no_key(full: Store, path: Path) -> None:
    _edit(path, lambda d: d.update(id="f" * 32))
    _assert_refused(path, [full], StoreCorrupted, "another store")
    _assert_refused(path, [Store(str(path), "auto")], KeyringUnavailable, "has no key")


def test_an_older_copy_is_found(full: Store, path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "copy")
    full.set("openai/dev", b"sk-newer")
    shutil.copy(tmp_path / "copy", path)
    _assert_refused(path, [full], StoreCorrupted, "older copy")
    assert "older copy" in str(full.status().damaged)


def test_another_copy_of_the_same_age_is_found(full: Store, path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "copy")
    Store(str(path), "auto").set("openai/dev", b"sk-branch")
    shutil.copy(path, tmp_path / "branch")
    shutil.copy(tmp_path / "copy", path)
    full.set("openai/dev", b"sk-newer")
    shutil.copy(tmp_path / "branch", path)
    _assert_refused(path, [full], StoreCorrupted, "older copy")


def test_a_good_copy_put_back_is_taken(full: Store, path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "copy")
    path.write_bytes(b"")
    with pytest.raises(StoreCorrupted):
        full.list()
    shutil.copy(tmp_path / "copy", path)
    assert full.fetch("openai/dev").value == FIRST
    assert full.status().damaged is None


def test_a_file_that_vanishes_is_not_made_anew(
    full: Store, path: Path, keyring: MemoryKeyring
) -> None:
    path.unlink()
    for use in _uses(full):
        with pytest.raises(StoreCorrupted, match="is gone"):
            use()
    assert not path.exists()
    assert len(keyring.entries) == 1
    assert "is gone" in str(full.status().damaged)


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
    assert full.fetch("openai/dev").value == FIRST
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
        store.set("openai/dev", FIRST)
    assert path.read_bytes() == another.read_bytes()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o602, 0o700 | 0o1])
def test_a_file_that_others_can_touch_is_refused(full: Store, path: Path, mode: int) -> None:
    path.chmod(mode)
    _assert_refused(path, [full, Store(str(path), "auto")], InsecurePath, "open to others")
    assert "open to others" in str(full.status().damaged)


def test_a_folder_that_others_can_touch_is_refused(full: Store, path: Path) -> None:
    path.parent.chmod(0o755)
    with pytest.raises(InsecurePath, match="open to others"):
        Store(str(path), "auto").list()
    with pytest.raises(InsecurePath, match="open to others"):
        full.set("openai/dev", b"sk-new")


def test_a_link_is_not_followed(full: Store, path: Path) -> None:
    target = path.parent.parent / "target"
    path.rename(target)
    path.symlink_to(target)
    before = target.read_bytes()
    for store in (full, Store(str(path), "auto")):
        for use in _uses(store):
            with pytest.raises(InsecurePath, match="symbolic link"):
                use()
    assert path.is_symlink()
    assert target.read_bytes() == before


def test_another_users_file_is_refused(full: Store, path: Path) -> None:
    with mock.patch("os.geteuid", return_value=os.geteuid() + 1):
        fresh = Store(str(path), "auto")
        with pytest.raises(InsecurePath, match="belongs to uid"):
            fresh.list()
    assert full.fetch("openai/dev").value == FIRST


def test_a_folder_in_its_place_is_refused(full: Store, path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)
    for store in (full, Store(str(path), "auto")):
        with pytest.raises(InsecurePath, match="not a regular file"):
            store.set("openai/dev", b"sk-new")


def test_a_pipe_in_its_place_does_not_hang(full: Store, path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)
    with pytest.raises(InsecurePath, match="not a regular file"):
        full.list()


def test_a_file_without_end_is_refused(full: Store, path: Path) -> None:
    os.truncate(path, 16 * 1024 * 1024 + 1)
    _assert_refused(path, [full], InsecurePath, "over 16777216 bytes")


def test_a_store_does_not_grow_past_what_it_would_read(
    full: Store, monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    before = path.read_bytes()
    monkeypatch.setattr("brokerd.store.file.MAX_BYTES", len(before) + 10)
    with pytest.raises(BackendUnavailable, match="would be over"):
        full.set("openai/dev", b"sk-new")
    assert path.read_bytes() == before


def test_a_full_disk_leaves_the_old_store(full: Store, path: Path) -> None:
    before = path.read_bytes()
    for room in (0, 1, len(before) // 2, len(before)):
        with no_file_over(room), pytest.raises(BackendUnavailable, match="cannot write"):
            full.set("openai/dev", b"sk-new")
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    assert full.fetch("openai/dev").value == FIRST
    full.set("openai/dev", b"sk-new")
    assert Store(str(path), "auto").fetch("openai/dev").value == b"sk-new"


def test_a_full_disk_makes_no_store_and_leaves_no_key(
    store: Store, path: Path, keyring: MemoryKeyring
) -> None:
    with no_file_over(10), pytest.raises(BackendUnavailable, match="cannot write"):
        store.set("openai/dev", FIRST)
    assert not path.exists()
    assert keyring.entries == {}
    assert not store.status().exists
    store.set("openai/dev", FIRST)


def test_a_new_store_that_did_appear_keeps_its_key(
    store: Store, path: Path, keyring: MemoryKeyring
) -> None:
    with (
        broken("brokerd.files.sync_folder"),
        pytest.raises(BackendUnavailable, match="cannot write"),
    ):
        store.set("openai/dev", FIRST)
    assert path.exists()
    assert len(keyring.entries) == 1
    assert store.list() == ()
    store.set("openai/dev", FIRST)


@pytest.mark.parametrize("step", ["os.write", "brokerd.files.sync_data", "os.rename"])
def test_a_disk_that_fails_leaves_the_old_store(full: Store, path: Path, step: str) -> None:
    before = path.read_bytes()
    with broken(step), pytest.raises(BackendUnavailable, match="cannot write") as caught:
        full.set("openai/dev", b"sk-new")
    assert "sk-new" not in repr(caught.value) + repr(caught.value.__context__)
    assert path.read_bytes() == before
    assert full.fetch("openai/dev").value == FIRST


def test_a_disk_that_cannot_be_read_says_so(full: Store, path: Path) -> None:
    del full
    store = Store(str(path), "auto")
    with broken("os.open"), pytest.raises(BackendUnavailable, match="cannot read"):
        store.list()
    with broken("os.lstat"):
        assert "cannot look at" in str(store.status().damaged)
        assert store.revision() is None


def test_a_folder_that_cannot_be_written_leaves_the_old_store() -> None:
    imports = """
from brokerd.store import Store, masterkey, access, store as verbs
from brokerd import files
from brokershim.errors import BackendUnavailable
from tests.support.memory_keyring import MemoryKeyring
"""
    code = """
keyring = MemoryKeyring()
masterkey.find_keyring = lambda: keyring
path = os.path.join(folder, "secrets.sealed")
os.chmod(folder, 0o700)
one = Store(path, "auto")
one.set("openai/dev", b"sk-first")
before = open(path, "rb").read()
os.chmod(folder, 0o500)
try:
    one.set("openai/dev", b"sk-new")
except BackendUnavailable as error:
    print(error.message.replace(path, "PATH"))
print(open(path, "rb").read() == before, one.fetch("openai/dev").value)
os.chmod(folder, 0o700)
"""
    with plain_folder() as folder:
        said = run_as_plain_user(imports, code, folder)
    assert said == "cannot write PATH: Permission denied\nTrue b'sk-first'\n"


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
