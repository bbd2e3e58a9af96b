"""Users of a real database that a Vault makes for one lease each: their leases can be renewed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from brokerd.backends.vault.backend import VaultBackend
from brokershim import clock
from brokershim.errors import (
    BackendUnavailable,
    LeaseNotFound,
    ServerDown,
)
from tests.support import vault_made
from tests.support.backends import WHOM
from tests.support.daemon import wait_until
from tests.support.postgres import Postgres, postgres
from tests.support.vault import Server
from tests.support.vault_made import NAME, RENEWING
from tests.support.vaulted import ENDING, vaulted


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres() as running:
        yield running


@pytest.fixture(scope="module")
def path(vault_server: Server, database: Postgres) -> str:
    return database.mount(vault_server, ttl="40s", max_ttl="80s")


@pytest.mark.slow  # it runs a PostgreSQL
class TestRenewable:
    """The database engine: what it makes can be renewed, and is a user of a real database."""

    def _backend(self, server: Server, path: str, **token: Any) -> VaultBackend:
        secret = {"engine": "dynamic", "path": path, "field": "password"}
        rules = {path: ["read"], **ENDING, **RENEWING}
        return vaulted(server, rules, {NAME: secret}, **token).backend

    def test_the_server_limits_how_long_it_lives_on(
        self, vault_server: Server, database: Postgres, path: str
    ) -> None:
        backend = self._backend(vault_server, path)
        made, asked_at = vault_made.key(backend), clock.now()
        assert 35 < made.expires_at - asked_at <= 40
        assert 55 < backend.renew(made.upstream, 60) - asked_at <= 62
        assert 70 < backend.renew(made.upstream, 3600) - asked_at <= 81
        assert len(database.users()) == 1
        backend.revoke(made.upstream)
        assert not database.users()
        with pytest.raises(LeaseNotFound):
            backend.renew(made.upstream, 60)

    def test_it_lives_on_no_longer_than_the_login_it_was_made_under(
        self, vault_server: Server, path: str
    ) -> None:
        backend = self._backend(vault_server, path, ttl="20s", explicit_max_ttl="20s")
        made = vault_made.key(backend)
        assert backend.renew(made.upstream, 60) - clock.now() <= 20
        backend.revoke(made.upstream)

    def test_an_engine_that_fails_has_made_nothing(
        self, vault_server: Server, database: Postgres, path: str
    ) -> None:
        mount = path.partition("/")[0]
        life = {"default_ttl": "40s", "max_ttl": "80s"}
        vault_server.write(
            f"{mount}/roles/broken", db_name="it", creation_statements=["no SQL"], **life
        )
        backend = self._backend(vault_server, f"{mount}/creds/broken")
        risk = backend.prepare(NAME)
        assert risk
        with pytest.raises(BackendUnavailable, match="makes no key of gateway/app: ") as caught:
            backend.make(NAME, risk, WHOM)
        assert not isinstance(caught.value, ServerDown)
        assert caught.value.details["sent"] is False
        assert caught.value.__context__ is None
        assert not database.users()

    def test_a_login_that_ends_takes_its_keys_along(
        self, vault_server: Server, database: Postgres, path: str
    ) -> None:
        backend = self._backend(vault_server, path)
        made, generation = vault_made.key(backend), backend.generation()
        backend.close()
        wait_until(lambda: not database.users())  # it ends a token first, and then what it made
        another = self._backend(vault_server, path)
        with pytest.raises(LeaseNotFound):
            another.renew(made.upstream, 60)
        assert backend.generation() == generation
