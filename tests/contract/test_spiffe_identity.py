"""A workload that an agent on this machine knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from brokerd.identities import spiffe
from brokerd.table import Table
from tests.contract.identity import Given, IdentityContract
from tests.support.workload_api import WorkloadApi


class TestAWorkload(IdentityContract):
    """One that the agent gives any token."""

    @pytest.fixture
    def api(self, tmp_path: Path) -> Iterator[WorkloadApi]:
        with WorkloadApi(tmp_path) as running:
            yield running

    @pytest.fixture
    def given(self, api: WorkloadApi) -> Given:
        values = {"kind": "spiffe", "socket": f"unix://{api.path}"}
        identity = spiffe.build("app", Table("config.toml", "identity.app", values))
        return Given(
            identity,
            "https://api.example.com",
            "https://gateway.example.com",
            api.subjects.clear,
        )
