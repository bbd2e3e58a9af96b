"""A key that an engine makes for one lease: made and ended, on a real server."""

from __future__ import annotations

import pytest

from brokerd.model import BoundedBy
from brokershim import clock
from brokershim.errors import (
    BackendUnavailable,
    LeaseNotFound,
)
from tests.support import vault_made
from tests.support.backends import WHOM
from tests.support.vault import Server
from tests.support.vault_made import NAME, RENEWING
from tests.support.vaulted import ENDING


@pytest.fixture(scope="module")
def mount(vault_server: Server) -> str:
    """Mount a PKI engine: its leases are real ones, and cannot be renewed."""
    return vault_server.pki()


def test_a_key_is_made_and_ended_with_its_lease(vault_server: Server, mount: str) -> None:
    backend = vault_made.made(vault_server, mount).backend
    asked_at = clock.now()
    one, another = vault_made.key(backend), vault_made.key(backend)
    assert one.value != another.value
    assert one.version != another.version
    assert one.bounded_by is backend.describe(NAME).bounded_by is BoundedBy.BACKEND
    assert one.expires_at is not None
    assert 55 < one.expires_at - asked_at <= 60 + 1
    assert {one.upstream, another.upstream} <= set(vault_made.leases(vault_server, mount))
    backend.revoke(one.upstream)
    assert one.upstream not in vault_made.leases(vault_server, mount)
    assert another.upstream in vault_made.leases(vault_server, mount)
    backend.revoke(one.upstream)
    backend.revoke("lease/never/given")
    backend.revoke("something/else")
    backend.revoke(another.upstream)
    assert another.upstream not in vault_made.leases(vault_server, mount)


def test_it_is_made_for_each_lease(vault_server: Server, mount: str) -> None:
    backend = vault_made.made(vault_server, mount).backend
    assert backend.makes(NAME)
    assert backend.key_of(NAME) == NAME
    assert backend.newest(NAME) == ""
    assert not backend.makes("nobody/knows-this")


def test_what_prepare_says_ends_all_that_is_made(vault_server: Server, mount: str) -> None:
    parts = vault_made.made(vault_server, mount)
    risk = parts.backend.prepare(NAME)
    assert risk
    assert risk == f"accessor/{parts.method.made[0]['accessor']}"
    made, generation = parts.backend.make(NAME, risk, WHOM), parts.backend.generation()
    static = parts.backend.revision()
    parts.backend.revoke(risk)
    vault_made.ends(vault_server, mount, made.upstream)
    assert not vault_server.lives(parts.method.made[0]["client_token"])
    assert parts.backend.generation() != generation
    assert parts.backend.revision() == static
    parts.backend.revoke(risk)


def test_a_daemon_that_starts_ends_what_the_one_before_it_made(
    vault_server: Server, mount: str
) -> None:
    before, after = (vault_made.made(vault_server, mount).backend for _ in range(2))
    risk = before.prepare(NAME)
    assert risk
    lost, known = before.make(NAME, risk, WHOM), vault_made.key(after)
    after.revoke(risk)
    vault_made.ends(vault_server, mount, lost.upstream)
    assert known.upstream in vault_made.leases(vault_server, mount)
    another = vault_made.key(before)
    after.revoke(another.upstream)
    assert another.upstream not in vault_made.leases(vault_server, mount)


def test_it_is_made_under_what_the_journal_names_or_not_at_all(
    vault_server: Server, mount: str
) -> None:
    parts = vault_made.made(vault_server, mount)
    risk = parts.backend.prepare(NAME)
    assert risk
    vault_server.write("auth/token/revoke", token=parts.method.made[0]["client_token"])
    before = set(vault_made.leases(vault_server, mount))
    with pytest.raises(BackendUnavailable, match="has just ended") as caught:
        parts.backend.make(NAME, risk, WHOM)
    assert caught.value.details["sent"] is False
    assert set(vault_made.leases(vault_server, mount)) <= before
    assert vault_made.key(parts.backend).value


def test_no_key_lives_longer_than_the_login_it_was_made_under(
    vault_server: Server, mount: str
) -> None:
    backend = vault_made.made(vault_server, mount, ttl="20s").backend
    made = vault_made.key(backend)
    assert made.expires_at - clock.now() <= 20
    backend.revoke(made.upstream)


def test_another_login_does_not_let_it_live_longer(vault_server: Server, mount: str) -> None:
    parts = vault_made.made(
        vault_server, mount, {**ENDING, **RENEWING}, ttl="20s", explicit_max_ttl="20s"
    )
    made = vault_made.key(parts.backend)
    parts.method.terms = {"ttl": "10m"}
    parts.session._live(other_than=parts.session._tokens.current)
    assert len(parts.method.made) == 2
    assert parts.backend.renew(made.upstream, 60) - clock.now() <= 20
    parts.backend.revoke(made.upstream)


def test_a_batch_token_makes_keys_too(vault_server: Server, mount: str) -> None:
    backend = vault_made.made(vault_server, mount, type="batch").backend
    assert backend.prepare(NAME) is None
    made = vault_made.key(backend)
    assert made.upstream in vault_made.leases(vault_server, mount)
    backend.revoke(made.upstream)
    assert made.upstream not in vault_made.leases(vault_server, mount)


def test_a_lease_that_cannot_be_renewed_ends_when_it_was_to(
    vault_server: Server, mount: str
) -> None:
    backend = vault_made.made(vault_server, mount, {**ENDING, **RENEWING}).backend
    made = vault_made.key(backend)
    until = backend.renew(made.upstream, 3600)
    assert abs(until - made.expires_at) < 2
    backend.revoke(made.upstream)
    with pytest.raises(LeaseNotFound):
        backend.renew(made.upstream, 60)
