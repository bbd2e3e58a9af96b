"""What is not made, or is ended at once, since nothing would end it later?"""

from __future__ import annotations

import json
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
from brokershim.errors import (
    BackendRefused,
    NamespaceNotFound,
    NotFound,
    SecretNotFound,
    ServerDown,
)
from tests.support import vault_made
from tests.support.backends import WHOM
from tests.support.vault import Server
from tests.support.vault_made import NAME
from tests.support.vaulted import ENDING, Fresh, read


@pytest.fixture(scope="module")
def mount(vault_server: Server) -> str:
    """Mount a PKI engine: its leases are real ones, and cannot be renewed."""
    return vault_server.pki()


@pytest.mark.parametrize("may", [(), ("sys/leases/revoke",), ("auth/token/revoke-accessor",)])
def test_what_cannot_be_ended_is_not_made(
    vault_server: Server, mount: str, may: tuple[str, ...]
) -> None:
    backend = vault_made.made(vault_server, mount, {each: ["update"] for each in may}).backend
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
    backend = vault_made.made(vault_server, mount).backend
    with pytest.raises(BackendRefused, match="makes no lease") as caught:
        vault_made.key(backend)
    assert "generate_lease = true" in caught.value.hint


@pytest.mark.parametrize(
    ("field", "fault"), [("password", "is not among the"), ("expiration", "is no text")]
)
def test_what_is_of_no_use_is_ended_at_once(
    vault_server: Server, mount: str, field: str, fault: str
) -> None:
    backend = vault_made.made(vault_server, mount, secret={"field": field}).backend
    before = set(vault_made.leases(vault_server, mount))
    with pytest.raises(SecretNotFound, match=fault):
        vault_made.key(backend)
    assert set(vault_made.leases(vault_server, mount)) <= before


def test_what_is_of_no_use_and_not_ended_is_left_to_the_journal(
    vault_server: Server, mount: str
) -> None:
    rules = {**ENDING, "sys/leases/revoke": ["deny"]}
    backend = vault_made.made(vault_server, mount, rules, secret={"field": "password"}).backend
    with pytest.raises(ServerDown, match="not ended yet") as caught:
        backend.make(NAME, f"accessor/{backend._session.risk()}", WHOM)
    assert "sent" not in caught.value.details
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("lease", ["x" * 3000, "pki/issue/app/ü", "pki/issue/app/\n"])
def test_an_id_that_cannot_be_written_down_is_refused(
    vault_server: Server, mount: str, lease: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = vault_made.made(vault_server, mount)
    monkeypatch.setattr(parts.session, "call", lambda *_, **__: {"lease_id": lease})
    with pytest.raises(ServerDown, match="whose id is none"):
        parts.backend.make(NAME, "accessor/a", WHOM)


@pytest.mark.parametrize("where", ["", "pki/issue/app", "issue/app", "sue/app", "pki/issue"])
def test_a_lease_of_another_path_is_not_ours_to_end(
    vault_server: Server, mount: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = vault_made.made(vault_server, mount, secret={"path": "db/pki/issue/app"})
    asked: list[object] = []

    def answer(*_: Any, **how: Any) -> dict[str, Any]:
        asked.append(how)
        return {"lease_id": f"{where}/of-somebody", "data": {}, "lease_duration": 60}

    monkeypatch.setattr(parts.session, "call", answer)
    ours = where in ("pki/issue/app", "issue/app")  # below one namespace, or two
    with pytest.raises(SecretNotFound if ours else ServerDown) as caught:
        parts.backend.make(NAME, "accessor/a", WHOM)
    assert ours or "a lease of another path" in caught.value.message
    assert len(asked) == (2 if ours else 1)


def test_a_lease_that_another_has_is_refused_and_not_ended(
    vault_server: Server, mount: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = vault_made.made(vault_server, mount)
    risk = parts.backend.prepare(NAME) or ""
    first, call = parts.backend.make(NAME, risk, WHOM), parts.session.call
    again = {"lease_id": (first.upstream or "").removeprefix("lease/"), "lease_duration": 60}
    monkeypatch.setattr(parts.session, "call", lambda *_, **__: again)
    with pytest.raises(BackendRefused, match="no key of its own"):
        parts.backend.make(NAME, risk, WHOM)
    monkeypatch.setattr(parts.session, "call", call)
    assert first.upstream in vault_made.leases(vault_server, mount)


@pytest.mark.parametrize("reason", ["", "internal error", "1 error occurred: * internal error"])
def test_a_server_that_fails_itself_may_have_made_a_key(
    vault_server: Server, mount: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ServerDown("it fails", details={"sent": True, "reason": reason})

    parts = vault_made.made(vault_server, mount)
    monkeypatch.setattr(parts.session, "call", fail)
    with pytest.raises(ServerDown) as caught:
        parts.backend.make(NAME, "accessor/a", WHOM)
    assert caught.value.details["sent"] is True


def test_the_longest_id_fits_into_the_journal(tmp_path: Any) -> None:
    journal = Journal(str(tmp_path / "state" / "journal"))
    journal.opened("l", "b" * 64, "lease/" + '"' * 2048)
    assert json.loads((tmp_path / "state" / "journal").read_text())["lease"] == "l"
    journal.close()


def test_what_makes_a_key_is_asked_only_once(
    vault_server: Server, mount: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []

    def record(*_: Any, **how: Any) -> None:
        asked.append(how)
        raise ServerDown("it breaks off")

    parts = vault_made.made(vault_server, mount)
    monkeypatch.setattr(parts.session, "call", record)
    with pytest.raises(ServerDown):
        parts.backend.make(NAME, "accessor/a", WHOM)
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
    terms = read(NAME, **vault_made.secret(mount))
    method = Fresh(vault_server, ["default"])
    session = Session(Vault("corp", Servers((vault_server.url,), "nobody")), method)
    backend = VaultBackend("corp", session, method, {NAME: terms}, 30.0)
    with pytest.raises(NamespaceNotFound):
        vault_made.key(backend)


def test_a_path_that_makes_nothing_is_not_found(vault_server: Server, mount: str) -> None:
    nowhere = {"path": f"{mount}/nothing/here"}
    backend = vault_made.made(
        vault_server, mount, {**ENDING, "*": ["update"]}, secret=nowhere
    ).backend
    with pytest.raises(NotFound, match=f"nothing at {mount}/nothing/here"):
        vault_made.key(backend)


def test_the_server_says_why_it_makes_none(vault_server: Server, mount: str) -> None:
    more = {"path": f"{mount}/issue/other"}
    backend = vault_made.made(vault_server, mount, secret=more).backend
    with pytest.raises(BackendRefused, match="unknown role"):
        vault_made.key(backend)
    forbidden = vault_made.made(
        vault_server, mount, {**ENDING, f"{mount}/issue/*": ["deny"]}
    ).backend
    with pytest.raises(BackendRefused, match=f"made at {mount}/issue/app"):
        vault_made.key(forbidden)
