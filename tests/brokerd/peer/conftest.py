"""A door, and who knocks; and which of these tests look at Linux itself, and only run there."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.support.door import Door
from tests.support.puppet import Puppet, Stage

collect_ignore_glob = [] if sys.platform == "linux" else ["test_[!d]*.py"]


@pytest.fixture
def door() -> Iterator[Door]:
    made = Door()
    yield made
    made.close()


@pytest.fixture
def caller(stage: Stage) -> Puppet:
    return stage.enter()
