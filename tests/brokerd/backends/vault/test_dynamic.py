"""A key that an engine makes for one lease: made, kept alive, and ended, on a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from brokerd.backends.vault import dynamic
from brokerd.backends.vault.backend import VaultBackend
from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.servers import Servers
from brokerd.backends.vault.session import Session
from brokerd.backends.vault.terms import DynamicTerms
from brokerd.journal import Journal
from brokerd.model import BoundedBy
from brokershim import clock
from brokershim.errors import (
    BackendRefused,
    BackendUnavailable,
    LeaseNotFound,
    NamespaceNotFound,
    NotFound,
    SecretNotFound,
    ServerDown,
)
from tests.support.daemon import wait_until
from tests.support.postgres import Postgres, postgres
from tests.support.vault import Server
from tests.support.vaulted import ENDING, Fresh, Vaulted, read, vaulted

NAME = "gateway/app"
RENEWING = {"sys/leases/renew": ["update"], "sys/leases/lookup": ["update"]}


@pytest.fixture(scope="module")
def mount(vault_server: Server) -> str:
    """Mount a PKI engine: its leases are real ones, and cannot be renewed."""
    return vault_server.pki()


def _secret(mount: str, **more: Any) -> dict[str, Any]:
    return {
        "engine": "dynamic",
        "path": f"{mount}/issue/app",
        "method": "write",
        "parameters": {"common_name": "app.example"},
        "field": "serial_number",
        **more,
    }


def _made(
    server: Server, mount: str, rules: dict[str, list[str]] | None = None, **more: Any
) -> Vaulted:
    secret = _secret(mount, **more.pop("secret", {}))
    rules = {f"{mount}/issue/*": ["update"], **(ENDING if rules is None else rules)}
    return vaulted(server, rules, {NAME: secret}, **more)


def _leases(server: Server, mount: str) -> list[str]:
    return [f"lease/{each}" for each in server.leases(f"{mount}/issue/app/")]


def _ends(server: Server, mount: str, upstream: str | None) -> None:
    """Wait for the end of a lease: a server ends a token first, and then what it made."""
    wait_until(lambda: upstream not in _leases(server, mount))


def _key(backend: VaultBackend) -> Any:
    risk = backend.prepare(NAME)
    return backend.fetch(NAME) if risk is None else backend.make(NAME, risk)


def test_a_key_is_made_and_ended_with_its_lease(vault_server: Server, mount: str) -> None:
    backend = _made(vault_server, mount).backend
    asked_at = clock.now()
    one, another = _key(backend), _key(backend)
    assert one.value != another.value
    assert one.version != another.version
    assert one.bounded_by is backend.describe(NAME).bounded_by is BoundedBy.BACKEND
    assert one.expires_at is not None
    assert 55 < one.expires_at - asked_at <= 60 + 1
    assert {one.upstream, another.upstream} <= set(_leases(vault_server, mount))
    backend.revoke(one.upstream)
    assert one.upstream not in _leases(vault_server, mount)
    assert another.upstream in _leases(vault_server, mount)
    backend.revoke(one.upstream)
    backend.revoke("lease/never/given")
    backend.revoke("something/else")
    backend.revoke(another.upstream)
    assert another.upstream not in _leases(vault_server, mount)


def test_it_is_made_for_each_lease(vault_server: Server, mount: str) -> None:
    backend = _made(vault_server, mount).backend
    assert backend.makes(NAME)
    assert backend.key_of(NAME) == NAME
    assert backend.newest(NAME) == ""
    assert not backend.makes("nobody/knows-this")


def test_what_prepare_says_ends_all_that_is_made(vault_server: Server, mount: str) -> None:
    parts = _made(vault_server, mount)
    risk = parts.backend.prepare(NAME)
    assert risk
    assert risk == f"accessor/{parts.method.made[0]['accessor']}"
    made, revision = parts.backend.make(NAME, risk), parts.backend.revision()
    parts.backend.revoke(risk)
    _ends(vault_server, mount, made.upstream)
    assert not vault_server.lives(parts.method.made[0]["client_token"])
    assert parts.backend.revision() != revision
    parts.backend.revoke(risk)


def test_a_daemon_that_starts_ends_what_the_one_before_it_made(
    vault_server: Server, mount: str
) -> None:
    before, after = (_made(vault_server, mount).backend for _ in range(2))
    risk = before.prepare(NAME)
    assert risk
    lost, known = before.make(NAME, risk), _key(after)
    after.revoke(risk)
    _ends(vault_server, mount, lost.upstream)
    assert known.upstream in _leases(vault_server, mount)
    another = _key(before)
    after.revoke(another.upstream)
    assert another.upstream not in _leases(vault_server, mount)


def test_it_is_made_under_what_the_journal_names_or_not_at_all(
    vault_server: Server, mount: str
) -> None:
    parts = _made(vault_server, mount)
    risk = parts.backend.prepare(NAME)
    assert risk
    vault_server.write("auth/token/revoke", token=parts.method.made[0]["client_token"])
    before = set(_leases(vault_server, mount))
    with pytest.raises(BackendUnavailable, match="has just ended") as caught:
        parts.backend.make(NAME, risk)
    assert caught.value.details["sent"] is False
    assert set(_leases(vault_server, mount)) <= before
    assert _key(parts.backend).value


@pytest.mark.parametrize("may", [(), ("sys/leases/revoke",), ("auth/token/revoke-accessor",)])
def test_what_cannot_be_ended_is_not_made(
    vault_server: Server, mount: str, may: tuple[str, ...]
) -> None:
    backend = _made(vault_server, mount, {each: ["update"] for each in may}).backend
    with pytest.raises(BackendRefused, match="so none is made") as caught:
        backend.prepare(NAME)
    for path in ENDING:
        assert (f'path "{path}" {{ capabilities = ["update"] }}' in caught.value.hint) is (
            path not in may
        )


def test_what_makes_no_lease_is_refused(vault_server: Server) -> None:
    mount = vault_server.pki()
    role = f"{mount}/roles/app"
    vault_server.write(role, **{**vault_server.read(role), "generate_lease": False})
    backend = _made(vault_server, mount).backend
    with pytest.raises(BackendRefused, match="makes no lease") as caught:
        _key(backend)
    assert "generate_lease = true" in caught.value.hint


@pytest.mark.parametrize(
    ("field", "fault"), [("password", "is not among the"), ("expiration", "is no text")]
)
def test_what_is_of_no_use_is_ended_at_once(
    vault_server: Server, mount: str, field: str, fault: str
) -> None:
    backend = _made(vault_server, mount, secret={"field": field}).backend
    before = set(_leases(vault_server, mount))
    with pytest.raises(SecretNotFound, match=fault):
        _key(backend)
    assert set(_leases(vault_server, mount)) <= before


def test_what_is_of_no_use_and_not_ended_is_left_to_the_journal(
    vault_server: Server, mount: str
) -> None:
    rules = {**ENDING, "sys/leases/revoke": ["deny"]}
    backend = _made(vault_server, mount, rules, secret={"field": "password"}).backend
    with pytest.raises(ServerDown, match="not ended yet") as caught:
        backend.make(NAME, f"accessor/{backend._session.risk()}")
    assert "sent" not in caught.value.details
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("lease", ["x" * 3000, "pki/issue/app/ü", "pki/issue/app/\n"])
def test_an_id_that_cannot_be_written_down_is_refused(
    vault_server: Server, mount: str, lease: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = _made(vault_server, mount)
    monkeypatch.setattr(parts.session, "call", lambda *_, **__: {"lease_id": lease})
    with pytest.raises(ServerDown, match="whose id is none"):
        parts.backend.make(NAME, "accessor/a")


@pytest.mark.parametrize("reason", ["", "internal error", "1 error occurred: * internal error"])
def test_a_server_that_fails_itself_may_have_made_a_key(
    vault_server: Server, mount: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ServerDown("it fails", details={"sent": True, "reason": reason})

    parts = _made(vault_server, mount)
    monkeypatch.setattr(parts.session, "call", fail)
    with pytest.raises(ServerDown) as caught:
        parts.backend.make(NAME, "accessor/a")
    assert caught.value.details["sent"] is True


def test_the_longest_id_fits_into_the_journal(tmp_path: Any) -> None:
    journal = Journal(str(tmp_path / "state" / "journal"))
    journal.opened("l", "b" * 64, "lease/" + '"' * 2048)
    assert json.loads((tmp_path / "state" / "journal").read_text())["lease"] == "l"
    journal.close()


def test_no_key_lives_longer_than_the_login_it_was_made_under(
    vault_server: Server, mount: str
) -> None:
    backend = _made(vault_server, mount, ttl="20s").backend
    made = _key(backend)
    assert made.expires_at - clock.now() <= 20
    backend.revoke(made.upstream)


def test_another_login_does_not_let_it_live_longer(vault_server: Server, mount: str) -> None:
    parts = _made(vault_server, mount, {**ENDING, **RENEWING}, ttl="20s", explicit_max_ttl="20s")
    made = _key(parts.backend)
    parts.method.terms = {"ttl": "10m"}
    parts.session._live(other_than=parts.session._tokens.current)
    assert len(parts.method.made) == 2
    assert parts.backend.renew(made.upstream, 60) - clock.now() <= 20
    parts.backend.revoke(made.upstream)


def test_what_makes_a_key_is_asked_only_once(
    vault_server: Server, mount: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def record(*_: Any, **how: Any) -> None:
        asked.append(how)
        raise ServerDown("it breaks off")

    parts = _made(vault_server, mount)
    monkeypatch.setattr(parts.session, "call", record)
    with pytest.raises(ServerDown):
        parts.backend.make(NAME, "accessor/a")
    assert asked == [{"once": True, "under": "a"}]


def test_parameters_go_where_the_method_wants_them() -> None:
    calls: list[tuple[str, str, dict[str, Any]]] = []
    adapter = SimpleNamespace(
        get=lambda url, params: calls.append(("get", url, params)),
        post=lambda url, json: calls.append(("post", url, json)),
    )
    parameters = {"name": "x", "ttl": 60, "force": True}
    for method in ("read", "write"):
        terms = read(
            NAME,
            engine="dynamic",
            path="ssh/creds/my role",
            field="key",
            method=method,
            parameters=parameters,
        )
        assert isinstance(terms, DynamicTerms)
        dynamic._make(terms, SimpleNamespace(adapter=adapter))
    assert calls == [
        ("get", "/v1/ssh/creds/my%20role", {"name": "x", "ttl": "60", "force": "true"}),
        ("post", "/v1/ssh/creds/my%20role", parameters),
    ]


def test_a_namespace_that_is_not_there_is_named(vault_server: Server, mount: str) -> None:
    terms = read(NAME, **_secret(mount))
    method = Fresh(vault_server, ["default"])
    session = Session(Vault("corp", Servers((vault_server.url,), "nobody")), method)
    backend = VaultBackend("corp", session, method, {NAME: terms}, 30.0)
    with pytest.raises(NamespaceNotFound):
        backend.fetch(NAME)


def test_a_batch_token_makes_keys_too(vault_server: Server, mount: str) -> None:
    backend = _made(vault_server, mount, type="batch").backend
    assert backend.prepare(NAME) is None
    made = _key(backend)
    assert made.upstream in _leases(vault_server, mount)
    backend.revoke(made.upstream)
    assert made.upstream not in _leases(vault_server, mount)


def test_a_lease_that_cannot_be_renewed_ends_when_it_was_to(
    vault_server: Server, mount: str
) -> None:
    backend = _made(vault_server, mount, {**ENDING, **RENEWING}).backend
    made = _key(backend)
    until = backend.renew(made.upstream, 3600)
    assert abs(until - made.expires_at) < 2
    backend.revoke(made.upstream)
    with pytest.raises(LeaseNotFound):
        backend.renew(made.upstream, 60)


def test_a_path_that_makes_nothing_is_not_found(vault_server: Server, mount: str) -> None:
    nowhere = {"path": f"{mount}/nothing/here"}
    backend = _made(vault_server, mount, {**ENDING, "*": ["update"]}, secret=nowhere).backend
    with pytest.raises(NotFound, match=f"nothing at {mount}/nothing/here"):
        _key(backend)


def test_the_server_says_why_it_makes_none(vault_server: Server, mount: str) -> None:
    more = {"path": f"{mount}/issue/other"}
    backend = _made(vault_server, mount, secret=more).backend
    with pytest.raises(BackendRefused, match="unknown role"):
        _key(backend)
    forbidden = _made(vault_server, mount, {**ENDING, f"{mount}/issue/*": ["deny"]}).backend
    with pytest.raises(BackendRefused, match=f"made at {mount}/issue/app"):
        _key(forbidden)


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
        made, asked_at = _key(backend), clock.now()
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
        made = _key(backend)
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
            backend.make(NAME, risk)
        assert not isinstance(caught.value, ServerDown)
        assert caught.value.details["sent"] is False
        assert caught.value.__context__ is None
        assert not database.users()

    def test_a_login_that_ends_takes_its_keys_along(
        self, vault_server: Server, database: Postgres, path: str
    ) -> None:
        backend = self._backend(vault_server, path)
        made, revision = _key(backend), backend.revision()
        backend.close()
        wait_until(lambda: not database.users())  # it ends a token first, and then what it made
        another = self._backend(vault_server, path)
        with pytest.raises(LeaseNotFound):
            another.renew(made.upstream, 60)
        assert backend.revision() == revision
