"""An AppRole logs in to a real server, and what its secret id comes in is opened once."""

from __future__ import annotations

import json
import traceback
from pathlib import Path

import pytest

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login import approle
from brokerd.backends.vault.login.approle import AppRole
from brokerd.backends.vault.session import Session
from brokerd.table import Table
from brokershim.errors import (
    BackendRefused,
    BackendTimeout,
    ConfigError,
    IdentityUnavailable,
    InsecurePath,
    KeyringUnavailable,
    UsageError,
    WrapOpened,
)
from tests.support.memory_keyring import MemoryKeyring, use
from tests.support.vault import Server
from tests.support.vault_admin import Admin, Mounted
from tests.support.vault_session import vault_of

ENTRY = ("brokerctl", "backend/corp")


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    found = MemoryKeyring()
    use(monkeypatch, found)
    return found


@pytest.fixture(scope="module")
def at(vault_server: Server) -> Mounted:
    return vault_server.approle("default", token_ttl="60s")


@pytest.fixture
def vault(vault_server: Server) -> Vault:
    return vault_of(vault_server)


def make(admin: Admin, at: Mounted, **more: object) -> AppRole:
    values = {"auth_mount": at.mount, "role": at.role, "role_id": admin.role_id(at), **more}
    return approle.build("corp", Table("config.toml", "backend.corp", values), {})


def written(folder: Path, text: str) -> Path:
    path = folder / "secret-id"
    path.write_text(f"{text}\n")
    path.chmod(0o600)
    return path


def test_a_wrapped_secret_id_is_opened_once_and_kept(
    vault_server: Server, at: Mounted, vault: Vault, keyring: MemoryKeyring
) -> None:
    method = make(vault_server, at)
    assert method.wants == "wrapping token of a secret id"
    assert not method.enrolled()
    wrap = vault_server.wrapped_secret_id(at)
    method.enrol(f" {wrap}\n")
    assert method.enrolled()
    assert vault_server.lives(method.login(vault).token)
    assert wrap not in keyring.entries[ENTRY]
    assert not vault_server.lives(wrap)
    assert vault_server.lives(method.login(vault).token)
    again = make(vault_server, at)
    assert vault_server.lives(again.login(vault).token)


def test_one_that_somebody_else_has_opened_is_reported(
    vault_server: Server, at: Mounted, vault: Vault, keyring: MemoryKeyring
) -> None:
    method, wrap = make(vault_server, at), vault_server.wrapped_secret_id(at)
    vault_server.client(wrap).sys.unwrap()
    method.enrol(wrap)
    for _ in range(2):
        with pytest.raises(WrapOpened, match="opened by somebody else") as opened:
            method.login(vault)
        assert "find out who opened it" in opened.value.hint
        assert wrap not in "".join(traceback.format_exception(opened.value))
    assert wrap in keyring.entries[ENTRY]


def test_one_of_another_path_is_left_unopened(
    vault_server: Server, at: Mounted, vault: Vault, keyring: MemoryKeyring
) -> None:
    method = make(vault_server, at)
    thiefs = vault_server.root.write_data(
        "sys/wrapping/wrap", data={"secret_id": "of-the-thief"}, wrap_ttl="60s"
    )["wrap_info"]["token"]
    method.enrol(thiefs)
    with pytest.raises(WrapOpened, match="made at sys/wrapping/wrap, and not at auth/"):
        method.login(vault)
    assert vault_server.client(thiefs).sys.unwrap()["data"] == {"secret_id": "of-the-thief"}
    assert keyring.entries


def test_one_of_another_role_is_left_unopened(
    vault_server: Server, at: Mounted, vault: Vault, keyring: MemoryKeyring
) -> None:
    method, other = make(vault_server, at), vault_server.role(at.mount, ["default"])
    method.enrol(vault_server.wrapped_secret_id(other))
    with pytest.raises(WrapOpened, match=f"role/{other.role}/secret-id, and not at"):
        method.login(vault)
    assert keyring.entries


@pytest.mark.parametrize(
    ("sent", "said"), [(True, "never came"), (False, "opened by somebody else")]
)
def test_one_whose_answer_was_lost_is_not_said_to_be_stolen(
    vault_server: Server,
    at: Mounted,
    vault: Vault,
    keyring: MemoryKeyring,
    monkeypatch: pytest.MonkeyPatch,
    *,
    sent: bool,
    said: str,
) -> None:
    method, wrap, clients = make(vault_server, at), vault_server.wrapped_secret_id(at), vault.client
    method.enrol(wrap)

    def client(token: str | None = None) -> object:
        if token == wrap:
            vault_server.client(wrap).sys.unwrap()
            raise BackendTimeout("it does not answer", details={"sent": sent})
        return clients(token)

    monkeypatch.setattr(vault, "client", client)
    with pytest.raises(BackendTimeout):
        method.login(vault)
    with pytest.raises(WrapOpened, match=said):
        method.login(vault)
    assert keyring.entries


def test_within_a_namespace_it_is_opened_too(vault_server: Server, keyring: MemoryKeyring) -> None:
    with vault_server.within() as team:
        at = team.approle("default", token_ttl="60s")
        method = make(team, at)
        method.enrol(team.wrapped_secret_id(at))
        assert team.lives(method.login(vault_of(team)).token)
    assert keyring.entries


def test_a_file_is_opened_kept_and_removed(
    vault_server: Server, at: Mounted, vault: Vault, keyring: MemoryKeyring, tmp_path: Path
) -> None:
    path = written(tmp_path, vault_server.wrapped_secret_id(at))
    method = make(vault_server, at, secret_id_file=str(path))
    assert method.wants == ""
    assert vault_server.lives(method.login(vault).token)
    assert not path.exists()
    assert json.loads(keyring.entries[ENTRY])["secret_id"]
    again = make(vault_server, at, secret_id_file=str(path))
    assert vault_server.lives(again.login(vault).token)


def test_where_the_file_cannot_be_removed_it_is_known_as_opened(
    vault_server: Server,
    at: Mounted,
    vault: Vault,
    keyring: MemoryKeyring,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(_: str) -> None:
        raise PermissionError

    monkeypatch.setattr("brokerd.backends.vault.login.secretid.os.unlink", fails)
    path = written(tmp_path, vault_server.wrapped_secret_id(at))
    for _ in range(2):
        method = make(vault_server, at, secret_id_file=str(path))
        assert vault_server.lives(method.login(vault).token)
    assert path.exists()
    assert keyring.entries


def test_a_newer_file_takes_the_place_of_what_was_kept(
    vault_server: Server, at: Mounted, vault: Vault, keyring: MemoryKeyring, tmp_path: Path
) -> None:
    path = written(tmp_path, vault_server.wrapped_secret_id(at))
    method = make(vault_server, at, secret_id_file=str(path))
    method.login(vault)
    before = keyring.entries[ENTRY]
    written(tmp_path, vault_server.wrapped_secret_id(at))
    method.login(vault)
    assert keyring.entries[ENTRY] != before


def test_an_empty_file_is_none(
    vault_server: Server, at: Mounted, vault: Vault, keyring: MemoryKeyring, tmp_path: Path
) -> None:
    path = written(tmp_path, "")
    method = make(vault_server, at, secret_id_file=str(path))
    with pytest.raises(IdentityUnavailable, match="has no secret id"):
        method.login(vault)
    written(tmp_path, vault_server.wrapped_secret_id(at))
    method.login(vault)
    written(tmp_path, "")
    assert vault_server.lives(method.login(vault).token)
    assert keyring.entries


def test_without_a_keyring_it_is_kept_in_memory(
    vault_server: Server,
    at: Mounted,
    vault: Vault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    use(monkeypatch, None)
    path = written(tmp_path, vault_server.wrapped_secret_id(at))
    method = make(vault_server, at, secret_id_file=str(path))
    for _ in range(2):
        assert vault_server.lives(method.login(vault).token)
    assert not path.exists()
    assert "kept in memory only" in caplog.text
    with pytest.raises(IdentityUnavailable, match="no secret id") as missing:
        make(vault_server, at, secret_id_file=str(path)).login(vault)
    assert str(path) in missing.value.hint


def test_what_a_person_gives_takes_the_place_of_what_was_in_memory_only(
    vault_server: Server,
    at: Mounted,
    vault: Vault,
    keyring: MemoryKeyring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: str) -> None:
        raise OSError

    method = make(vault_server, at)
    method.enrol(vault_server.wrapped_secret_id(at))
    with monkeypatch.context() as patch:
        patch.setattr(keyring, "set_password", fails)
        method.login(vault)
    method.enrol(vault_server.wrapped_secret_id(at))
    method.login(vault)
    assert json.loads(keyring.entries[ENTRY])["secret_id"]


def test_without_a_keyring_nobody_can_give_one(
    vault_server: Server, at: Mounted, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, None)
    method = make(vault_server, at)
    with pytest.raises(KeyringUnavailable) as refused:
        method.enrol("s.a-wrap")
    assert "where there is none, log in with what needs none" in refused.value.hint
    with pytest.raises(KeyringUnavailable):
        method.login(vault)


def test_a_file_that_others_can_read_is_refused(
    vault_server: Server, at: Mounted, vault: Vault, keyring: MemoryKeyring, tmp_path: Path
) -> None:
    path = written(tmp_path, vault_server.wrapped_secret_id(at))
    path.chmod(0o644)
    with pytest.raises(InsecurePath):
        make(vault_server, at, secret_id_file=str(path)).login(vault)
    assert path.exists()
    assert not keyring.entries


def test_one_that_is_not_wrapped_is_used_as_it_is(
    vault_server: Server, at: Mounted, vault: Vault, keyring: MemoryKeyring, tmp_path: Path
) -> None:
    given = make(vault_server, at, wrapped=False)
    assert given.wants == "secret id"
    given.enrol(vault_server.secret_id(at))
    assert vault_server.lives(given.login(vault).token)
    del keyring.entries[ENTRY]
    path = written(tmp_path, vault_server.secret_id(at))
    by_file = make(vault_server, at, wrapped=False, secret_id_file=str(path))
    assert vault_server.lives(by_file.login(vault).token)
    assert path.exists()
    assert not keyring.entries


def test_one_that_is_used_up_is_refused_and_another_one_helps(
    vault_server: Server, at: Mounted, vault: Vault, keyring: MemoryKeyring
) -> None:
    method = make(vault_server, at, wrapped=False)
    spent = vault_server.secret_id(at, num_uses=1)
    method.enrol(spent)
    session = Session(vault, method)
    session.call(lambda client: client.auth.token.lookup_self())
    before = session.generation()
    with pytest.raises(BackendRefused, match="at auth/") as refused:
        method.login(vault)
    assert "have another one made" in refused.value.hint
    assert spent not in "".join(traceback.format_exception(refused.value))
    method.enrol(vault_server.secret_id(at))
    assert session.generation() != before
    session.call(lambda client: client.auth.token.lookup_self())
    session.close()
    assert keyring.entries


def test_nothing_to_log_in_with_is_said_to_be(
    vault_server: Server, at: Mounted, vault: Vault, keyring: MemoryKeyring
) -> None:
    method = make(vault_server, at)
    for entry in (None, "no json", "[]", '{"secret_id": 7}'):
        if entry is not None:
            keyring.entries[ENTRY] = entry
        with pytest.raises(IdentityUnavailable, match="has no secret id") as missing:
            method.login(vault)
        assert "backend enrol corp" in missing.value.hint
        assert not method.enrolled()


@pytest.mark.parametrize("value", ["", "  ", "two words", "s.ä", "a\nb"])
def test_what_is_no_word_is_not_kept(
    vault_server: Server, at: Mounted, keyring: MemoryKeyring, value: str
) -> None:
    with pytest.raises(UsageError, match="that is no wrapping token") as refused:
        make(vault_server, at).enrol(value)
    assert not value.strip() or value not in refused.value.message
    assert not keyring.entries


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"role": "dev"}, "role_id is missing"),
        ({"role_id": "1"}, "role is missing"),
        ({"role": "dev", "role_id": "1", "secret_id_file": "near"}, "secret_id_file is not an abs"),
        ({"role": "dev", "role_id": "1", "wrapped": "no"}, "wrapped is neither true nor false"),
    ],
)
def test_a_table_that_says_too_little_is_refused(values: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        approle.build("corp", Table("config.toml", "backend.corp", values), {})


def test_a_role_may_be_named_where_it_is_not_needed() -> None:
    table = Table("config.toml", "backend.corp", {"role_id": "1", "role": "dev", "wrapped": False})
    approle.build("corp", table, {})
    table.finish()
