"""What is done with a secret, on a store that is well."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from brokerd.model import BoundedBy, Secret
from brokerd.store import Store
from brokershim.errors import Locked, SecretNotFound, UsageError
from tests.support.memory_keyring import MemoryKeyring

KEY, NEWER = b"sk-first", b"sk-second"


def test_without_a_store_nothing_is_found(store: Store, path: Path) -> None:
    assert store.list() == ()
    for look in (store.describe, store.fetch, store.show, store.remove, store.rollback):
        with pytest.raises(SecretNotFound, match="openai/dev"):
            look("openai/dev")
    assert not path.exists()


def test_the_first_set_makes_the_store(store: Store, path: Path, keyring: MemoryKeyring) -> None:
    assert store.set("openai/dev", KEY) == ("1", True)
    assert store.fetch("openai/dev").value == KEY
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert len(keyring.entries) == 1


def test_a_secret_is_described(store: Store) -> None:
    store.set("openai/dev", KEY, max_ttl=60)
    secret = Secret(
        "openai/dev", "openai", ("api.openai.com",), "embedded", 60.0, "1", BoundedBy.BROKER
    )
    assert store.describe("openai/dev") == secret
    assert store.list() == (secret,)
    assert store.show("openai/dev")[0] == secret


def test_secrets_are_listed_by_name(store: Store) -> None:
    for name in ("openai/dev", "anthropic/dev", "openai"):
        store.set(name, KEY)
    assert [each.name for each in store.list()] == ["anthropic/dev", "openai", "openai/dev"]


def test_a_credential_says_what_ends_it(store: Store) -> None:
    store.set("openai/dev", KEY)
    found = store.fetch("openai/dev")
    assert (found.version, found.bounded_by) == ("1", BoundedBy.BROKER)
    assert (found.expires_at, found.upstream) == (None, None)


def test_a_new_value_is_a_new_version(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(["2026-11-23T07:04:00Z", "2026-11-23T08:00:00Z"])
    monkeypatch.setattr("brokerd.store.store._utc_now", lambda: next(times))
    store.set("openai/dev", KEY)
    assert store.set("openai/dev", NEWER) == ("2", False)
    assert store.fetch("openai/dev").value == NEWER
    _, versions = store.show("openai/dev")
    assert versions == (("1", "2026-11-23T07:04:00Z"), ("2", "2026-11-23T08:00:00Z"))


def test_times_are_utc(store: Store) -> None:
    store.set("openai/dev", KEY)
    assert store.show("openai/dev")[1][0].created.endswith("Z")


def test_a_description_changes_without_a_new_version(store: Store) -> None:
    store.set("openai/dev", KEY)
    assert store.set("openai/dev", hosts=["proxy.example"], max_ttl=60) == ("1", False)
    secret = store.describe("openai/dev")
    assert (secret.hosts, secret.max_ttl, secret.version) == (("proxy.example",), 60.0, "1")
    assert store.fetch("openai/dev").value == KEY


def test_a_description_alone_needs_a_secret(store: Store, path: Path) -> None:
    with pytest.raises(SecretNotFound, match="needs a value"):
        store.set("openai/dev", max_ttl=60)
    assert not path.exists()


def test_what_changes_nothing_writes_nothing(store: Store) -> None:
    store.set("openai/dev", KEY)
    before = store.status().generation
    store.set("openai/dev", max_ttl=900)
    assert store.status().generation == before


@pytest.mark.parametrize(
    ("name", "value", "hosts"),
    [
        ("Not A Name", KEY, ["a.example"]),
        ("openai/dev", b"key\n", None),
        ("openai/dev", KEY, ["*"]),
        ("mine/dev", KEY, None),
    ],
)
def test_what_is_refused_makes_no_store(
    store: Store, path: Path, keyring: MemoryKeyring, name: str, value: bytes, hosts: list[str]
) -> None:
    with pytest.raises(UsageError):
        store.set(name, value, hosts=hosts)
    assert not path.exists()
    assert keyring.entries == {}


def test_a_name_that_is_none_is_not_repeated(store: Store) -> None:
    with pytest.raises(UsageError) as caught:
        store.fetch("sk-PASTED BY MISTAKE")
    assert "PASTED" not in str(caught.value.to_wire())


def test_a_removed_secret_is_gone(store: Store, path: Path) -> None:
    store.set("openai/dev", KEY)
    store.set("openai/prod", NEWER)
    store.remove("openai/dev")
    assert [each.name for each in store.list()] == ["openai/prod"]
    with pytest.raises(SecretNotFound):
        store.fetch("openai/dev")
    assert Store(str(path), "auto").fetch("openai/prod").value == NEWER


def test_a_version_names_one_value_for_ever(store: Store, path: Path) -> None:
    store.set("openai/dev", KEY)
    store.set("openai/dev", KEY)
    store.remove("openai/dev")
    again = Store(str(path), "auto")
    assert again.set("openai/dev", NEWER) == ("3", True)
    again.remove("openai/dev")
    assert again.set("openai/dev", NEWER) == ("4", True)


def test_rollback_stores_the_older_value_as_a_new_version(store: Store) -> None:
    store.set("openai/dev", KEY)
    store.set("openai/dev", NEWER)
    assert store.rollback("openai/dev") == "3"
    assert store.fetch("openai/dev").value == KEY
    assert [each.version for each in store.show("openai/dev")[1]] == ["1", "2", "3"]
    assert store.rollback("openai/dev", 2) == "4"
    assert store.fetch("openai/dev").value == NEWER


def test_rollback_needs_a_version_to_go_back_to(store: Store) -> None:
    store.set("openai/dev", KEY)
    with pytest.raises(SecretNotFound, match="no older version"):
        store.rollback("openai/dev")
    for version in (0, 2, -1):
        with pytest.raises(SecretNotFound, match=f"no version {version}"):
            store.rollback("openai/dev", version)
    with pytest.raises(UsageError, match="current"):
        store.rollback("openai/dev", 1)
    assert store.describe("openai/dev").version == "1"


def test_the_file_holds_no_key(store: Store, path: Path, keyring: MemoryKeyring) -> None:
    store.set("openai/dev", KEY)
    (master,) = keyring.entries.values()
    assert KEY not in path.read_bytes()
    assert master.encode() not in path.read_bytes()


def test_the_longest_value_and_many_versions_come_back(store: Store, path: Path) -> None:
    longest = b"k" * 16_384
    for number in range(10):
        store.set("openai/dev", longest if number == 9 else b"%d" % number)
    assert Store(str(path), "auto").fetch("openai/dev").value == longest


def test_threads_lose_nothing(store: Store, path: Path) -> None:
    def work(number: int) -> None:
        for _ in range(5):
            store.set(f"openai/{number}", b"key-%d" % number)
            assert store.fetch(f"openai/{number}").value == b"key-%d" % number

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Store(str(path), "auto").list()
    assert [(each.name, each.version) for each in found] == [(f"openai/{n}", "5") for n in range(4)]


def test_the_revision_changes_with_every_change_and_every_lock(store: Store) -> None:
    seen = [store.revision()]
    for change in (
        lambda: store.set("openai/dev", KEY),
        lambda: store.set("openai/dev", NEWER),
        lambda: store.set("openai/dev", max_ttl=60),
        lambda: store.rollback("openai/dev"),
        lambda: store.remove("openai/dev"),
        store.lock,
    ):
        change()
        assert store.revision() not in seen
        seen.append(store.revision())
    with pytest.raises(Locked):
        store.list()
    assert store.revision() == seen[-1]
