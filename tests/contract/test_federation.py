"""The exchange at each provider as a backend."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from brokerd.model import BoundedBy
from tests.contract.backend import BackendContract, Given
from tests.support.federated import NAME, Federated, federated
from tests.support.provider import Answer
from tests.support.vendor_rules import RULES


class TestFederation(BackendContract):
    """Each fetch is an exchange of its own."""

    @pytest.fixture(params=sorted(RULES))
    def parts(self, request: pytest.FixtureRequest) -> Iterator[Federated]:
        with federated(request.param) as made:
            yield made

    @pytest.fixture
    def given(self, parts: Federated) -> Given:
        def break_it() -> None:
            parts.endpoint.instead[:] = [Answer(503)] * 20

        return Given(parts.backend, NAME, None, None, break_it, knows=True)

    def test_the_provider_ends_its_keys(self, given: Given) -> None:
        found = given.backend.fetch(NAME)
        assert found.bounded_by is BoundedBy.PROVIDER
        assert found.upstream is None
        assert found.expires_at is not None
