"""On a disk that is full or broken, and in a place that is not private, nothing is lost."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import pytest

from brokerd.store import Store
from brokershim.errors import (
    BackendUnavailable,
    InsecurePath,
)
from tests.brokerd.store.conftest import KEY
from tests.brokerd.store.refusal import assert_refused, uses
from tests.support.faults import broken, no_file_over
from tests.support.memory_keyring import MemoryKeyring
from tests.support.plainuser import plain_folder, run_as_plain_user


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o602, 0o700 | 0o1])
def test_a_file_that_others_can_touch_is_refused(full: Store, path: Path, mode: int) -> None:
    path.chmod(mode)
    assert_refused(path, [full, Store(str(path), "auto")], InsecurePath, "open to others")
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
        for use in uses(store):
            with pytest.raises(InsecurePath, match="symbolic link"):
                use()
    assert path.is_symlink()
    assert target.read_bytes() == before


def test_another_users_file_is_refused(full: Store, path: Path) -> None:
    with mock.patch("os.geteuid", return_value=os.geteuid() + 1):
        fresh = Store(str(path), "auto")
        with pytest.raises(InsecurePath, match="belongs to uid"):
            fresh.list()
    assert full.fetch("openai/dev").value == KEY


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
    assert_refused(path, [full], InsecurePath, "over 16777216 bytes")


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
    assert full.fetch("openai/dev").value == KEY
    full.set("openai/dev", b"sk-new")
    assert Store(str(path), "auto").fetch("openai/dev").value == b"sk-new"


def test_a_full_disk_makes_no_store_and_leaves_no_key(
    store: Store, path: Path, keyring: MemoryKeyring
) -> None:
    with no_file_over(10), pytest.raises(BackendUnavailable, match="cannot write"):
        store.set("openai/dev", KEY)
    assert not path.exists()
    assert keyring.entries == {}
    assert not store.status().exists
    store.set("openai/dev", KEY)


def test_a_new_store_that_did_appear_keeps_its_key(
    store: Store, path: Path, keyring: MemoryKeyring
) -> None:
    with (
        broken("brokerd.files.sync_folder"),
        pytest.raises(BackendUnavailable, match="cannot write"),
    ):
        store.set("openai/dev", KEY)
    assert path.exists()
    assert len(keyring.entries) == 1
    assert store.list() == ()
    store.set("openai/dev", KEY)


@pytest.mark.parametrize("step", ["os.write", "brokerd.files.sync_data", "os.rename"])
def test_a_disk_that_fails_leaves_the_old_store(full: Store, path: Path, step: str) -> None:
    before = path.read_bytes()
    with broken(step), pytest.raises(BackendUnavailable, match="cannot write") as caught:
        full.set("openai/dev", b"sk-new")
    assert "sk-new" not in repr(caught.value) + repr(caught.value.__context__)
    assert path.read_bytes() == before
    assert full.fetch("openai/dev").value == KEY


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
from brokerd.store import Store, access, store as verbs
from brokerd import files, keyring as os_keyring
from brokershim.errors import BackendUnavailable
from tests.support.memory_keyring import MemoryKeyring
"""
    code = """
keyring = MemoryKeyring()
os_keyring.find_keyring = lambda: keyring
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
