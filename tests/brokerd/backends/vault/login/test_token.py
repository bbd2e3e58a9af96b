"""A token that somebody else made logs in to a real server, and is left to them."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login import token
from brokerd.backends.vault.login.token import EnrolledToken, GivenToken
from brokerd.backends.vault.session import Session
from brokerd.table import Table
from brokershim import clock
from brokershim.errors import (
    ConfigError,
    IdentityExpired,
    IdentityUnavailable,
    InsecurePath,
    UsageError,
)
from tests.support.memory_keyring import MemoryKeyring, use
from tests.support.vault import ROOT_TOKEN, Server
from tests.support.vault_session import Time, vault_of

ENTRY = ("brokerctl", "backend/corp")


@pytest.fixture
def vault(vault_server: Server) -> Vault:
    return vault_of(vault_server)


def written(folder: Path, text: str) -> Path:
    path = folder / "token"
    path.write_text(text)
    path.chmod(0o600)
    return path


def make(**values: object) -> GivenToken:
    return token.build("corp", Table("config.toml", "backend.corp", values), {})


def test_a_token_of_a_file_is_looked_up(vault_server: Server, vault: Vault, tmp_path: Path) -> None:
    made = vault_server.token("default", ttl="60s")
    path = written(tmp_path, made["client_token"])
    found = make(token_file=str(path)).login(vault)
    assert found.token == made["client_token"]
    assert found.accessor == made["accessor"]
    assert found.expires_at == pytest.approx(clock.now() + 60, abs=5)
    assert found.ttl == 60
    assert found.policies == ("default",)
    assert found.renewable
    assert not found.ours


def test_one_without_an_end_has_none(vault: Vault, tmp_path: Path) -> None:
    found = make(token_file=str(written(tmp_path, ROOT_TOKEN))).login(vault)
    assert found.expires_at is None
    assert not found.renewable


def test_a_batch_token_has_no_accessor(vault_server: Server, vault: Vault, tmp_path: Path) -> None:
    made = vault_server.write("auth/token/create", type="batch", policies=["default"], ttl="60s")
    found = make(token_file=str(written(tmp_path, made["auth"]["client_token"]))).login(vault)
    assert found.accessor is None
    assert not found.renewable
    assert found.expires_at == pytest.approx(clock.now() + 60, abs=5)


def test_it_is_renewed_and_never_revoked(
    vault_server: Server, vault: Vault, tmp_path: Path
) -> None:
    made, time = vault_server.token("default", ttl="60s"), Time()
    path = written(tmp_path, made["client_token"])
    method = GivenToken("corp", path.read_text, "", time)
    session = Session(vault, method, time)
    session.call(lambda client: client.auth.token.lookup_self())
    time.go_on(45)
    session.tend()
    ends = session.expires_at()
    assert ends is not None
    assert ends - time() == pytest.approx(60, abs=2)
    session.close()
    assert vault_server.lives(made["client_token"])


def test_a_newer_one_in_the_file_is_taken_when_the_old_one_ends(
    vault_server: Server, vault: Vault, tmp_path: Path
) -> None:
    old, new = (vault_server.token("default", ttl="60s", renewable=False) for _ in range(2))
    path, time = written(tmp_path, old["client_token"]), Time()
    session = Session(vault, GivenToken("corp", path.read_text, "", time), time)
    session.call(lambda client: client.auth.token.lookup_self())
    time.go_on(45)
    written(tmp_path, new["client_token"])
    session.tend()
    found = session.call(lambda client: client.auth.token.lookup_self())
    assert found["data"]["accessor"] == new["accessor"]
    assert vault_server.lives(old["client_token"])


def test_one_that_is_over_says_so_and_what_to_do(
    vault_server: Server, vault: Vault, tmp_path: Path
) -> None:
    made = vault_server.token("default", ttl="60s")
    path = written(tmp_path, made["client_token"])
    session = Session(vault, make(token_file=str(path)))
    session.call(lambda client: client.auth.token.lookup_self())
    before = session.generation()
    vault_server.root.auth.token.revoke(made["client_token"])
    for _ in range(2):
        with pytest.raises(IdentityExpired, match="is over, was revoked, or may not") as over:
            session.call(lambda client: client.auth.token.lookup_self())
        assert str(path) in over.value.hint
        assert made["client_token"] not in "".join(traceback.format_exception(over.value))
    assert session.generation() != before


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620])
def test_a_file_that_is_open_to_others_is_refused(vault: Vault, tmp_path: Path, mode: int) -> None:
    path = written(tmp_path, "root")
    path.chmod(mode)
    with pytest.raises(InsecurePath):
        make(token_file=str(path)).login(vault)


def test_a_file_that_is_not_there_is_named(vault: Vault, tmp_path: Path) -> None:
    with pytest.raises(IdentityUnavailable, match="there is no"):
        make(token_file=str(tmp_path / "gone")).login(vault)


def test_a_person_gives_one(
    vault_server: Server, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring = MemoryKeyring()
    use(monkeypatch, keyring)
    method = make()
    assert isinstance(method, EnrolledToken)
    assert method.wants == "token"
    assert not method.enrolled()
    with pytest.raises(IdentityUnavailable, match="was given no token") as missing:
        method.login(vault)
    assert "backend enrol corp" in missing.value.hint
    before, made = method.revision(), vault_server.token("default", ttl="60s")
    method.enrol(f"{made['client_token']}\n")
    assert method.enrolled()
    assert method.revision() != before
    assert keyring.entries[ENTRY] == made["client_token"]
    assert method.login(vault).accessor == made["accessor"]
    with pytest.raises(UsageError, match="that is no token"):
        method.enrol("two words")
    assert keyring.entries[ENTRY] == made["client_token"]


def test_a_helper_gives_one(vault_server: Server, vault: Vault, tmp_path: Path) -> None:
    made = vault_server.token("default", ttl="60s")
    program = tmp_path / "helper"
    program.write_text(f"#!/bin/sh\nprintf %s {made['client_token']}\n")
    program.chmod(0o700)
    method = make(token_helper=str(program))
    assert method.wants == ""
    assert method.login(vault).accessor == made["accessor"]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({"token_file": "near"}, "token_file is not an absolute path"),
        ({"token_helper": "near"}, "token_helper is not an absolute path"),
        ({"token_file": "/a", "token_helper": "/b"}, "one of token_file and token_helper"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(values: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        make(**values)
