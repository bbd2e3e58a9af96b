"""A daemon that does as told, and a holder that leases from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from brokershim.holder import Holder
from tests.support.fakebroker import Entry, FakeBroker

KEY = "sk-test-0123456789abcdef/+KLMNOP"
NEW_KEY = "sk-test-fresh-9876543210/+ZYXWVU"


class Clock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[FakeBroker]:
    with FakeBroker(tmp_path) as made:
        made.secrets["openai/dev"] = Entry(KEY)
        yield made


@pytest.fixture
def holder(broker: FakeBroker, clock: Clock) -> Iterator[Holder]:
    made = Holder(broker.connect, clock)
    yield made
    made.close()
