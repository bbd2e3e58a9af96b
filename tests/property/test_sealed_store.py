"""Whatever is done to a store or to its file, it gives the right value or an error."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokerd.store import Store
from brokerd.store.crypto import Place, seal, unseal
from brokerd.store.format import Argon2id, Document, Record, Version, decode, encode
from brokershim.errors import BrokerError, SecretNotFound, UsageError
from tests.support.memory_keyring import MemoryKeyring

NAMES = ("openai/dev", "openai/prod", "anthropic/dev")
VALUES = st.from_regex(rb"[!-~]{1,40}", fullmatch=True).filter(
    lambda value: not value.startswith(b"brokerref:")
)


@contextmanager
def _place() -> Generator[Path]:
    """Yield where a store may stand, with a keyring of its own."""
    keyring = MemoryKeyring()
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("brokerd.keyring.find_keyring", return_value=keyring),
    ):
        yield Path(folder) / "secrets.sealed"


@dataclass
class Model:
    """What the store should hold, said in the simplest way."""

    values: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict[str, Any])
    last: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, name: str, value: bytes) -> str:
        self.last[name] = self.last.get(name, 0) + 1
        self.values.setdefault(name, []).append((self.last[name], value))
        return str(self.last[name])


Step = Callable[[Store, Model], None]


def _set(name: str, value: bytes) -> Step:
    def step(store: Store, model: Model) -> None:
        created = name not in model.values
        assert store.set(name, value) == (model.add(name, value), created)

    return step


def _rollback(name: str, number: int | None) -> Step:
    def step(store: Store, model: Model) -> None:
        versions = model.values.get(name, [])
        if number is None:
            older = [value for _, value in versions[-2:-1]]
        else:
            older = [value for known, value in versions[:-1] if known == number]
        if older:
            assert store.rollback(name, number) == model.add(name, older[0])
        else:
            with pytest.raises((SecretNotFound, UsageError)):
                store.rollback(name, number)

    return step


def _remove(name: str) -> Step:
    def step(store: Store, model: Model) -> None:
        if model.values.pop(name, None) is None:
            with pytest.raises(SecretNotFound):
                store.remove(name)
        else:
            store.remove(name)

    return step


names = st.sampled_from(NAMES)
steps = st.one_of(
    st.builds(_set, names, VALUES),
    st.builds(_rollback, names, st.none() | st.integers(0, 5)),
    st.builds(_remove, names),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(steps, max_size=12), st.randoms(use_true_random=False))
def test_a_store_does_what_a_dictionary_would(done: list[Step], random: Any) -> None:
    with _place() as path:
        store, model = Store(str(path), "auto"), Model()
        for step in done:
            if random.random() < 0.3:
                store = Store(str(path), "auto")  # as after a restart
            step(store, model)
        for name in NAMES:
            versions = model.values.get(name)
            if versions is None:
                with pytest.raises(SecretNotFound):
                    store.fetch(name)
            else:
                found = store.fetch(name)
                assert (int(found.version), found.value) == versions[-1]
        assert {secret.name for secret in store.list()} == set(model.values)


@pytest.fixture(scope="module")
def written() -> Generator[tuple[Path, Store, bytes]]:
    """A store that this process knows, and the bytes of its file."""
    with _place() as path:
        store = Store(str(path), "auto")
        for name in NAMES[:2]:
            store.set(name, b"first-" + name.encode())
            store.set(name, b"second-" + name.encode())
        store.set(NAMES[2], b"removed")
        store.remove(NAMES[2])
        yield path, store, path.read_bytes()


def _assert_refused(written: tuple[Path, Store, bytes], raw: bytes) -> None:
    """Check that bytes are refused, by who knew the store and by who does not, and stay."""
    path, store, _ = written
    path.write_bytes(raw)
    for each in (store, Store(str(path), "auto")):
        with pytest.raises(BrokerError):
            each.list()
        with pytest.raises(BrokerError):
            each.set("openai/new", b"sk-new")
    assert path.read_bytes() == raw


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_changed_byte_is_found(written: tuple[Path, Store, bytes], data: Any) -> None:
    whole = written[2]
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[at] ^ data.draw(st.integers(1, 255))
    _assert_refused(written, whole[:at] + bytes([changed]) + whole[at + 1 :])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_missing_added_or_moved_part_is_found(
    written: tuple[Path, Store, bytes], data: Any
) -> None:
    whole = written[2]
    cut = st.integers(0, len(whole))
    start, end = sorted((data.draw(cut), data.draw(cut)))
    part = data.draw(st.sampled_from([b"", whole[start:end] * 2, whole[start:end][::-1], b" "]))
    changed = whole[:start] + part + whole[end:]
    if changed != whole:
        _assert_refused(written, changed)


def _leaves(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to everything in a JSON value."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in parts:
        yield (*way, key)
        if isinstance(part, dict | list):
            yield from _leaves(part, (*way, key))


def _at(document: Any, way: tuple[Any, ...]) -> Any:
    for key in way:
        document = document[key]
    return document


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_two_parts_can_be_exchanged(written: tuple[Path, Store, bytes], data: Any) -> None:
    document = json.loads(written[2])
    ways = st.sampled_from(list(_leaves(document)))
    one, other = data.draw(ways), data.draw(ways)
    if one[: len(other)] == other or other[: len(one)] == one:
        return
    here, there = _at(document, one), _at(document, other)
    if here == there:
        return
    _at(document, one[:-1])[one[-1]], _at(document, other[:-1])[other[-1]] = there, here
    changed = json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"
    _assert_refused(written, changed)


texts = st.text(max_size=20)
versions = st.builds(Version, st.integers(), texts, st.binary(max_size=40))
records = st.builds(
    Record,
    texts,
    st.lists(texts, max_size=3).map(tuple),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(versions, min_size=1, max_size=3).map(tuple),
)
documents = st.builds(
    Document,
    texts,
    st.integers(),
    st.none() | st.builds(Argon2id, st.binary(), st.integers(), st.integers(), st.integers()),
    st.binary(max_size=40),
    st.dictionaries(texts, records, max_size=3),
    st.dictionaries(texts, st.integers(), max_size=3),
)


@settings(max_examples=100, deadline=None)
@given(documents, st.binary(max_size=40))
def test_any_document_comes_back_as_it_was(document: Document, mac: bytes) -> None:
    raw = encode(document, mac)
    assert decode(raw) == (document, mac)
    assert encode(*decode(raw)) == raw


places = st.builds(Place, texts, texts, st.integers())


@settings(max_examples=100, deadline=None)
@given(places, places, st.binary(max_size=60), st.binary(min_size=32, max_size=32))
def test_a_value_opens_in_its_own_place_only(
    here: Place, there: Place, value: bytes, master: bytes
) -> None:
    sealed = seal(master, here, value)
    assert unseal(master, here, sealed) == value
    if here != there:
        with pytest.raises(ValueError, match="does not open"):
            unseal(master, there, sealed)
