"""A real Vault as a backend: both versions of its KV engine, and keys that an engine makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from brokerd.backends.base import mints
from brokerd.backends.vault.backend import VaultBackend, build
from brokerd.model import BoundedBy
from brokerd.table import Table
from brokershim.errors import BackendRefused
from tests.contract.backend import BackendContract, Given
from tests.support.backends import WHOM
from tests.support.vault import Server
from tests.support.vaulted import ENDING, HOSTS, vaulted

NAME, KEY, PATH = "openai/dev", "sk-of-the-vault", "llm/openai"


@pytest.fixture(scope="module")
def mount(vault_server: Server) -> str:
    """Mount a PKI engine, which makes leases."""
    return vault_server.pki()


def _forbid(server: Server, policy: str) -> None:
    server.write(f"sys/policies/acl/{policy}", policy='path "*" { capabilities = ["deny"] }')


class _Static(BackendContract):
    """Read as config.toml says, with a token of a file."""

    def built(
        self, server: Server, folder: Path, rules: Mapping[str, Sequence[str]], mount: str
    ) -> tuple[VaultBackend, str]:
        """Return a backend, and the name of the policy of its token."""
        policy, file = server.policy(rules), folder / "token"
        file.write_text(server.token(policy, ttl="10m")["client_token"])
        file.chmod(0o600)
        values = {"address": server.url, "login": "token", "token_file": str(file)}
        secret = {"mount": mount, "path": PATH, "field": "key", "hosts": HOSTS}
        table = Table("config.toml", "backend.corp", values)
        return build("corp", table, {NAME: Table("config.toml", "s", secret)}, {}), policy

    def test_only_the_broker_ends_a_lease_of_it(self, given: Given) -> None:
        found = given.backend.fetch(NAME)
        assert found.bounded_by is BoundedBy.BROKER
        assert found.max_staleness == 900.0

    def test_nobody_has_one_made(self, given: Given) -> None:
        assert mints(given.backend)
        with pytest.raises(BackendRefused, match="made for nobody"):
            given.backend.make(NAME, None, WHOM)


class TestVersion2(_Static):
    """The KV engine with versions."""

    @pytest.fixture
    def given(self, vault_server: Server, tmp_path: Path) -> Given:
        mount = vault_server.kv()
        rules = {f"{mount}/data/llm/*": ["read"], f"{mount}/metadata/llm/*": ["read"]}
        backend, policy = self.built(vault_server, tmp_path, rules, mount)

        def put(value: bytes) -> None:
            vault_server.put(mount, PATH, key=value.decode())

        put(KEY.encode())
        return Given(
            backend, NAME, KEY.encode(), put, lambda: _forbid(vault_server, policy), knows=True
        )


class TestVersion1(_Static):
    """The KV engine without."""

    @pytest.fixture
    def given(self, vault_server: Server, tmp_path: Path) -> Given:
        mount = vault_server.kv(1)
        backend, policy = self.built(vault_server, tmp_path, {f"{mount}/*": ["read"]}, mount)

        def put(value: bytes) -> None:
            vault_server.write(f"{mount}/{PATH}", key=value.decode())

        put(KEY.encode())
        return Given(
            backend, NAME, KEY.encode(), put, lambda: _forbid(vault_server, policy), knows=True
        )


class TestDynamic(BackendContract):
    """Keys that an engine makes, each with a lease of its own."""

    @pytest.fixture
    def given(self, vault_server: Server, mount: str) -> Given:
        secret: dict[str, Any] = {
            "engine": "dynamic",
            "path": f"{mount}/issue/app",
            "method": "write",
            "parameters": {"common_name": "app.example"},
            "field": "serial_number",
        }
        rules = {f"{mount}/issue/*": ["update"], **ENDING}
        parts = vaulted(vault_server, rules, {NAME: secret})
        (policy,) = parts.method.policies
        return Given(
            parts.backend, NAME, None, None, lambda: _forbid(vault_server, policy), knows=True
        )

    def test_the_server_ends_its_keys(self, given: Given) -> None:
        found = given.key()
        assert found.bounded_by is BoundedBy.BACKEND
        assert found.upstream is not None
        assert found.expires_at is not None

    def test_its_generation_changes_with_the_end_of_all_that_it_made(self, given: Given) -> None:
        backend = given.backend
        assert mints(backend)
        risk, before = backend.prepare(NAME), backend.generation()
        assert risk is not None
        made = backend.make(NAME, risk, WHOM)
        assert made.upstream is not None
        backend.revoke(made.upstream)
        assert hash(backend.generation()) == hash(before)
        assert backend.generation() == before
        revision = backend.revision()
        backend.revoke(risk)
        assert backend.generation() != before
        assert backend.revision() == revision

    def test_what_it_gave_ends_once_and_stays_ended(
        self, given: Given, vault_server: Server, mount: str
    ) -> None:
        found = given.key()
        assert found.upstream is not None
        given.backend.revoke(found.upstream)
        given.backend.revoke(found.upstream)
        ended = found.upstream.removeprefix("lease/")
        assert ended not in vault_server.leases(f"{mount}/issue/app/")

    def test_an_end_that_is_refused_is_no_end(self, given: Given) -> None:
        found = given.key()
        assert found.upstream is not None
        given.break_it()
        with pytest.raises(BackendRefused):
            given.backend.revoke(found.upstream)
        with pytest.raises(BackendRefused):
            given.key()

    def test_only_what_is_made_for_a_lease_is_made(self, given: Given) -> None:
        with pytest.raises(BackendRefused, match="made anew for each lease"):
            given.backend.fetch(NAME)
