"""A static key in a KV engine of a real server: read, pinned, deleted, destroyed, replaced."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from brokerd.backends.vault.backend import VaultBackend
from brokerd.model import BoundedBy
from brokershim.errors import (
    BackendRefused,
    NotFound,
    SecretDeleted,
    SecretDestroyed,
    SecretNotFound,
)
from tests.support.vault import Server
from tests.support.vault_admin import Admin
from tests.support.vaulted import NAME, Vaulted, vaulted

PATH = "llm/openai"


@pytest.fixture
def mount(vault_server: Server) -> str:
    """Mount a KV 2 engine with three versions of one key."""
    mount = vault_server.kv()
    for number in (1, 2, 3):
        vault_server.put(mount, PATH, key=f"sk-{number}", other="x")
    return mount


@pytest.fixture
def rules(mount: str) -> dict[str, list[str]]:
    return {f"{mount}/data/llm/*": ["read"], f"{mount}/metadata/llm/*": ["read"]}


def _kv(
    server: Admin, rules: dict[str, list[str]], mount: str, **more: Any
) -> tuple[VaultBackend, Vaulted]:
    values = {"mount": mount, "path": PATH, "field": "key", **more}
    parts = vaulted(server, rules, {NAME: values})
    return parts.backend, parts


def _versions(server: Server, mount: str, what: str, *numbers: int) -> None:
    server.write(f"{mount}/{what}/{PATH}", versions=list(numbers))


def _number(version: str) -> int:
    """Return which version that is at the server."""
    return int(version.partition("-")[0])


def test_the_newest_version_is_given(
    vault_server: Server, mount: str, rules: dict[str, list[str]]
) -> None:
    backend, _ = _kv(vault_server, rules, mount, max_staleness="5m")
    found = backend.fetch(NAME)
    assert (found.value, _number(found.version)) == (b"sk-3", 3)
    assert (found.bounded_by, found.max_staleness) == (BoundedBy.BROKER, 300.0)
    assert (found.expires_at, found.upstream) == (None, None)
    vault_server.put(mount, PATH, key="sk-4")
    assert _number(backend.newest(NAME)) == 4
    assert backend.fetch(NAME).value == b"sk-4"


def test_a_pinned_version_stays(
    vault_server: Server, mount: str, rules: dict[str, list[str]]
) -> None:
    backend, _ = _kv(vault_server, rules, mount, version=2)
    assert backend.fetch(NAME).value == b"sk-2"
    assert backend.newest(NAME) == backend.fetch(NAME).version
    assert _number(backend.newest(NAME)) == 2


@pytest.mark.parametrize("version", [{}, {"version": 3}])
def test_a_deleted_version_is_told_from_a_destroyed_one(
    vault_server: Server, mount: str, rules: dict[str, list[str]], version: dict[str, int]
) -> None:
    backend, _ = _kv(vault_server, rules, mount, **version)
    for what, kind in (("delete", SecretDeleted), ("destroy", SecretDestroyed)):
        _versions(vault_server, mount, what, 3)
        for look in (backend.fetch, backend.newest):
            with pytest.raises(NotFound, match=f"version 3 of {NAME}") as caught:
                look(NAME)
            assert type(caught.value) is kind
            assert caught.value.__context__ is None
    _versions(vault_server, mount, "delete", 2)
    if version:
        return
    vault_server.put(mount, PATH, key="sk-4")
    assert backend.fetch(NAME).value == b"sk-4"


def test_a_deleted_version_can_come_back(
    vault_server: Server, mount: str, rules: dict[str, list[str]]
) -> None:
    backend, _ = _kv(vault_server, rules, mount)
    _versions(vault_server, mount, "delete", 3)
    with pytest.raises(SecretDeleted):
        backend.newest(NAME)
    _versions(vault_server, mount, "undelete", 3)
    assert _number(backend.newest(NAME)) == 3


def test_what_was_removed_and_made_anew_is_another_version(
    vault_server: Server, mount: str, rules: dict[str, list[str]]
) -> None:
    backend, _ = _kv(vault_server, rules, mount, version=1)
    before = backend.fetch(NAME)
    vault_server.delete(f"{mount}/metadata/{PATH}")
    vault_server.put(mount, PATH, key="sk-of-another-time")
    after = backend.fetch(NAME)
    assert after.value != before.value
    assert backend.newest(NAME) == after.version != before.version


def test_secrets_that_may_be_stale_for_other_times_share_no_key(
    vault_server: Server, mount: str, rules: dict[str, list[str]]
) -> None:
    values = {"mount": mount, "path": PATH, "field": "key"}
    terms = {"a/x": "1h", "a/y": "1h", "b/x": "1m"}
    secrets = {name: {**values, "max_staleness": each} for name, each in terms.items()}
    backend = vaulted(vault_server, rules, secrets).backend
    assert backend.key_of("a/x") == backend.key_of("a/y") != backend.key_of("b/x")


def test_metadata_tell_of_what_is_destroyed(
    vault_server: Server, mount: str, rules: dict[str, list[str]]
) -> None:
    backend, _ = _kv(vault_server, rules, mount)
    _versions(vault_server, mount, "destroy", 3)
    with pytest.raises(SecretDestroyed):
        backend.newest(NAME)


def test_a_version_that_is_to_be_deleted_later_still_lives(
    vault_server: Server, mount: str, rules: dict[str, list[str]]
) -> None:
    backend, _ = _kv(vault_server, rules, mount)
    vault_server.write(f"{mount}/metadata/{PATH}", delete_version_after="1h")
    vault_server.put(mount, PATH, key="sk-4")
    assert _number(backend.newest(NAME)) == 4


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"path": "llm/none"}, "there is nothing at llm/none of"),
        ({"version": 9}, "version 9 of openai/dev is not in corp"),
    ],
)
def test_what_never_was_is_not_found(
    vault_server: Server,
    mount: str,
    rules: dict[str, list[str]],
    values: dict[str, Any],
    message: str,
) -> None:
    backend, _ = _kv(vault_server, rules, mount, **values)
    for look in (backend.fetch, backend.newest):
        with pytest.raises(SecretNotFound, match=message) as caught:
            look(NAME)
        assert type(caught.value) is SecretNotFound
        assert "kv get" in caught.value.hint


def test_a_path_of_the_http_api_is_refused_with_a_hint(
    vault_server: Server, mount: str, rules: dict[str, list[str]]
) -> None:
    everything = {**rules, f"{mount}/*": ["read"]}
    backend, _ = _kv(vault_server, everything, mount, path=f"data/{PATH}")
    with pytest.raises(SecretNotFound) as caught:
        backend.fetch(NAME)
    assert 'leave out the "data/"' in caught.value.hint


@pytest.mark.parametrize(
    ("value", "fault"), [(7, "is no text"), ("", "is no text"), ({"a": "b"}, "is no text")]
)
def test_a_field_has_to_be_a_text(
    vault_server: Server, mount: str, rules: dict[str, list[str]], value: Any, fault: str
) -> None:
    backend, _ = _kv(vault_server, rules, mount)
    vault_server.put(mount, PATH, key=value)
    with pytest.raises(SecretNotFound, match=fault):
        backend.fetch(NAME)


def test_a_missing_field_names_no_other(
    vault_server: Server, mount: str, rules: dict[str, list[str]]
) -> None:
    backend, _ = _kv(vault_server, rules, mount, field="api_key")
    with pytest.raises(SecretNotFound, match="is not among the 2 there") as caught:
        backend.fetch(NAME)
    assert "other" not in caught.value.message
    assert "sk-" not in str(caught.value.to_wire())


def test_without_leave_to_read_metadata_the_key_itself_is_looked_at(
    vault_server: Server, mount: str
) -> None:
    backend, _ = _kv(vault_server, {f"{mount}/data/*": ["read"]}, mount)
    assert _number(backend.newest(NAME)) == 3
    vault_server.put(mount, PATH, key="sk-4")
    assert _number(backend.newest(NAME)) == 4
    vault_server.delete(f"{mount}/data/{PATH}")
    with pytest.raises(SecretDeleted):
        backend.newest(NAME)


def test_a_refusal_is_provoked_only_once(
    vault_server: Server, mount: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, parts = _kv(vault_server, {f"{mount}/data/*": ["read"]}, mount)
    backend.newest(NAME)
    refused: list[Exception] = []
    call = parts.session.call

    def watched(*args: Any, **more: Any) -> Any:
        try:
            return call(*args, **more)
        except BackendRefused as error:
            refused.append(error)
            raise

    monkeypatch.setattr(parts.session, "call", watched)
    assert _number(backend.newest(NAME)) == 3
    assert not refused


def test_without_leave_to_read_it_is_refused(vault_server: Server, mount: str) -> None:
    backend, _ = _kv(vault_server, {f"{mount}/metadata/*": ["read"]}, mount)
    for look in (backend.fetch, backend.newest):  # metadata alone must not confirm a key
        with pytest.raises(BackendRefused, match=f"reading {NAME} at {mount}/{PATH}"):
            look(NAME)
    nowhere, _ = _kv(vault_server, {"elsewhere/*": ["read"]}, mount)
    with pytest.raises(BackendRefused, match=f"finding {mount}"):
        nowhere.fetch(NAME)


class TestVersion1:
    """An engine that keeps no versions."""

    @pytest.fixture
    def mount(self, vault_server: Server) -> str:
        mount = vault_server.kv(1)
        vault_server.write(f"{mount}/{PATH}", key="sk-1", other="x")
        return mount

    @pytest.fixture
    def rules(self, mount: str) -> dict[str, list[str]]:
        return {f"{mount}/llm/*": ["read"]}

    def test_a_key_is_read_and_seen_to_change(
        self, vault_server: Server, mount: str, rules: dict[str, list[str]]
    ) -> None:
        backend, _ = _kv(vault_server, rules, mount)
        before = backend.fetch(NAME)
        assert before.value == b"sk-1"
        assert backend.newest(NAME) == before.version
        vault_server.write(f"{mount}/{PATH}", key="sk-1", other="y")
        assert backend.newest(NAME) == before.version
        vault_server.write(f"{mount}/{PATH}", key="sk-2", other="y")
        assert backend.newest(NAME) == backend.fetch(NAME).version != before.version

    def test_its_version_tells_nothing_of_the_key(
        self, vault_server: Server, mount: str, rules: dict[str, list[str]]
    ) -> None:
        one, another = (_kv(vault_server, rules, mount)[0].fetch(NAME) for _ in range(2))
        assert one.value == another.value
        assert one.version != another.version

    def test_what_is_not_there_is_not_found(
        self, vault_server: Server, mount: str, rules: dict[str, list[str]]
    ) -> None:
        backend, _ = _kv(vault_server, rules, mount, path="llm/none")
        for look in (backend.fetch, backend.newest):
            with pytest.raises(SecretNotFound):
                look(NAME)

    def test_a_pin_would_hold_nothing(
        self, vault_server: Server, mount: str, rules: dict[str, list[str]]
    ) -> None:
        backend, _ = _kv(vault_server, rules, mount, version=1)
        with pytest.raises(SecretNotFound, match="keeps none"):
            backend.fetch(NAME)

    def test_it_may_become_version_2_meanwhile(
        self, vault_server: Server, mount: str, rules: dict[str, list[str]]
    ) -> None:
        data = {f"{mount}/data/llm/*": ["read"], f"{mount}/metadata/llm/*": ["read"]}
        backend, _ = _kv(vault_server, {**rules, **data}, mount)
        assert backend.fetch(NAME).value == b"sk-1"
        vault_server.write(f"sys/mounts/{mount}/tune", options={"version": "2"})
        found = _eventually(backend)
        assert (found.value, _number(found.version)) == (b"sk-1", 1)


def _eventually(backend: VaultBackend) -> Any:
    """Fetch until the server is done with turning the engine into the other."""
    for _ in range(200):
        try:
            return backend.fetch(NAME)
        except (SecretNotFound, BackendRefused):
            continue
    raise AssertionError("it never came back")


def test_what_is_no_kv_engine_is_refused(vault_server: Server) -> None:
    mount = vault_server.pki()
    backend, _ = _kv(vault_server, {f"{mount}/*": ["read"]}, mount)
    with pytest.raises(SecretNotFound, match="no KV engine, but pki") as caught:
        backend.fetch(NAME)
    assert 'engine = "dynamic"' in caught.value.hint


def test_a_path_in_the_mounts_place_is_refused(
    vault_server: Server, mount: str, rules: dict[str, list[str]]
) -> None:
    backend, _ = _kv(vault_server, rules, f"{mount}/data", path=PATH)
    with pytest.raises(SecretNotFound, match="is no mount of corp") as caught:
        backend.fetch(NAME)
    assert f'mount = "{mount}"' in caught.value.hint


@pytest.fixture
def team(vault_server: Server) -> Iterator[Admin]:
    if not vault_server.has_namespaces():
        pytest.skip("this server is of a make without namespaces, so it is no gap")
    with vault_server.within() as inner:
        yield inner


def test_it_is_read_within_its_namespace(team: Admin) -> None:
    mount = team.kv()
    team.put(mount, PATH, key="sk-of-the-team")
    rules = {f"{mount}/data/*": ["read"], f"{mount}/metadata/*": ["read"]}
    backend, _ = _kv(team, rules, mount)
    assert backend.fetch(NAME).value == b"sk-of-the-team"
    assert _number(backend.newest(NAME)) == 1
