"""What comes of answers that no Vault gives? Nothing that could be taken for a key."""

from __future__ import annotations

from typing import Any

import pytest

from brokerd.backends.reply import number, part, text
from brokershim.errors import BackendUnavailable, BrokerError, SecretNotFound, ServerDown
from tests.support import vault_made
from tests.support.backends import WHOM
from tests.support.vault import Server
from tests.support.vaulted import NAME, Vaulted, vaulted

_KV = {"mount": "secret", "path": "llm/openai", "field": "key"}
_ODD: list[Any] = [None, [], "x", 7, {}, {"data": None}, {"data": []}, {"data": {"data": "sk-1"}}]


def _answering(server: Server, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> Vaulted:
    """Build a backend whose server gives some answers, in order."""
    parts, left = vaulted(server, {"x": ["read"]}, {NAME: _KV}), list(answers)
    monkeypatch.setattr(parts.session, "call", lambda *_, **__: left.pop(0))
    return parts


def _mount(version: str) -> dict[str, Any]:
    return {"data": {"path": "secret/", "type": "kv", "options": {"version": version}}}


@pytest.mark.parametrize("odd", _ODD)
def test_a_mount_that_is_none_is_refused(
    vault_server: Server, monkeypatch: pytest.MonkeyPatch, odd: Any
) -> None:
    with pytest.raises(ServerDown, match="what secret is"):
        _answering(vault_server, monkeypatch, odd).backend.fetch(NAME)


@pytest.mark.parametrize("odd", [*_ODD, {"data": {"metadata": {"version": "3"}}}])
def test_a_secret_that_is_none_is_refused(
    vault_server: Server, monkeypatch: pytest.MonkeyPatch, odd: Any
) -> None:
    with pytest.raises(ServerDown, match="has no version"):
        _answering(vault_server, monkeypatch, _mount("2"), odd).backend.fetch(NAME)
    with pytest.raises(SecretNotFound):
        _answering(vault_server, monkeypatch, _mount("1"), odd).backend.fetch(NAME)


@pytest.mark.parametrize("odd", _ODD)
def test_metadata_that_are_none_name_no_version(
    vault_server: Server, monkeypatch: pytest.MonkeyPatch, odd: Any
) -> None:
    with pytest.raises(ServerDown if odd is None else SecretNotFound):
        _answering(vault_server, monkeypatch, _mount("2"), odd, odd).backend.newest(NAME)


@pytest.mark.parametrize("odd", [*_ODD, {"lease_id": 7}, {"lease_id": "a", "data": {"x": "y"}}])
def test_a_lease_that_is_none_gives_no_key(
    vault_server: Server, monkeypatch: pytest.MonkeyPatch, odd: Any
) -> None:
    parts = vault_made.made(vault_server, "pki")
    monkeypatch.setattr(parts.session, "call", lambda *_, **__: odd)
    with pytest.raises(BrokerError):
        parts.backend.make(vault_made.NAME, "accessor/a", WHOM)


@pytest.mark.parametrize("life", [None, "60s", True, 60.5])
def test_a_lease_without_an_end_gives_no_key(
    vault_server: Server, monkeypatch: pytest.MonkeyPatch, life: Any
) -> None:
    answer = {"lease_id": "pki/issue/app/a", "lease_duration": life, "data": {"serial_number": "x"}}
    parts = vault_made.made(vault_server, "pki")
    monkeypatch.setattr(parts.session, "call", lambda *_, **__: answer)
    with pytest.raises(BackendUnavailable, match="how long a lease lives") as caught:
        parts.backend.make(vault_made.NAME, "accessor/a", WHOM)
    assert "sent" not in caught.value.details  # so what it was made under is ended


def test_parts_of_an_answer_are_what_they_should_be_or_nothing() -> None:
    answer = {"a": {"b": {"c": 1}}, "n": True, "t": 7}
    assert part(answer, "a", "b") == {"c": 1}
    assert part(answer, "a", "c") == part(answer, "n") == part(None, "a") == {}
    assert number(part(answer, "a", "b"), "c") == 1
    assert number(answer, "n") is None
    assert text(answer, "t") == text([], "t") == ""
