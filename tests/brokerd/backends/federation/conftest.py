"""What the tests of the exchange share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.federated import Federated, federated
from tests.support.vendor_rules import RULES


@pytest.fixture(params=sorted(RULES))
def each(request: pytest.FixtureRequest) -> Iterator[Federated]:
    """Give every provider in turn."""
    with federated(request.param) as parts:
        yield parts


@pytest.fixture
def one() -> Iterator[Federated]:
    """Give the one with most rules."""
    with federated("anthropic") as parts:
        yield parts
