"""A secret id that is delivered while the one before is being opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from brokerd.backends.vault.login import approle
from brokerd.backends.vault.login.wrapping import Wrapping
from brokerd.table import Table
from tests.support.memory_keyring import MemoryKeyring, use
from tests.support.vault import Server
from tests.support.vault_session import vault_of


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_the_next_one_is_not_removed_unopened(
    vault_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    use(monkeypatch, MemoryKeyring())
    at, path = vault_server.approle("default"), tmp_path / "secret-id"
    path.touch(mode=0o600)
    path.write_text(vault_server.wrapped_secret_id(at))
    given = {"auth_mount": at.mount, "role": at.role, "role_id": vault_server.role_id(at)}
    table = Table("config.toml", "backend.corp", {**given, "secret_id_file": str(path)})
    method, opened = approle.build("corp", table, {}), Wrapping.open

    def while_another_comes(*args: Any) -> object:
        found = opened(*args)
        path.write_text("s.the-next-one")
        path.chmod(mode)
        return found

    monkeypatch.setattr(Wrapping, "open", while_another_comes)
    assert vault_server.lives(method.login(vault_of(vault_server)).token)
    assert path.read_text() == "s.the-next-one"
