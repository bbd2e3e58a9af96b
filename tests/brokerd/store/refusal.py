"""Everything that can be asked of a store, for when all of it has to be refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from brokerd.store import Store
from brokershim.errors import BrokerError


def uses(store: Store) -> list[Callable[[], object]]:
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


def assert_refused(path: Path, stores: list[Store], kind: type[BrokerError], says: str) -> None:
    """Check that every use fails and says why, and that the file is left as it is."""
    before = path.read_bytes()
    for store in stores:
        for use in uses(store):
            with pytest.raises(kind, match=says) as caught:
                use()
            assert str(path) in caught.value.message
            assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
