"""A server that answers as a Vault does, and says in it what it should not.

Nothing of that may drive a terminal, forge a line of the log, or show the token that it was sent.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from brokerd.backends.keeper import Keeper
from brokerd.backends.people import Finding
from brokerd.backends.vault.backend import VaultBackend
from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login.auth import auth_of
from brokerd.backends.vault.login.base import Auth
from brokerd.backends.vault.login.browsing import Door
from brokerd.backends.vault.login.enrolled import Enrolled
from brokerd.backends.vault.login.kept import Kept
from brokerd.backends.vault.login.person import Person
from brokerd.backends.vault.login.wrapping import Wrapping
from brokerd.backends.vault.session import Session
from brokerd.header import header_text
from brokerd.identities.oidc.clocks import Clocks
from brokershim.errors import (
    BackendRefused,
    BackendUnavailable,
    BrokerError,
    ServerDown,
    WrapOpened,
)
from tests.support.backends import WHOM
from tests.support.bare_server import BareServer
from tests.support.memory_keyring import MemoryKeyring, use
from tests.support.vault_client import vault_at
from tests.support.vaulted import NAME, read

TOKEN = "hvs.CAESIJabcdefghijklmnopqrst"
EVIL = f"\x1b]0;you are mine\x07\n2026-11-23 ERROR {TOKEN} \u202e"


class Given:
    """Logs in with a token that is there."""

    kind = "given"

    def revision(self) -> int:
        return 0

    def login(self, vault: Vault) -> Auth:
        del vault
        return Auth(TOKEN, "an-accessor", None, 0, renewable=False)


def answering(data: dict[str, Any], status: str = "200 OK") -> Callable[[socket.socket], None]:
    body = json.dumps({"request_id": "1", **data, "data": data})
    head = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n"
    return lambda talking: talking.sendall((head + body).encode())


def backend(vault: Vault) -> VaultBackend:
    method = Given()
    terms = {NAME: read(mount="secret", path="llm", field="key")}
    return VaultBackend("corp", Session(vault, method), method, terms, 30.0)


def is_harmless(text: str) -> bool:
    return text.isprintable() and TOKEN not in text


@pytest.mark.parametrize(
    "data",
    [
        {"path": EVIL, "type": "kv"},
        {"path": "secret/", "type": EVIL},
        {"path": "secret/", "type": "kv", "options": {"version": "2"}, "metadata": EVIL},
    ],
)
def test_an_error_repeats_nothing_of_an_answer(data: dict[str, Any]) -> None:
    with BareServer(answering(data)) as server, pytest.raises(BrokerError) as caught:
        backend(vault_at(f"http://{server.host}")).fetch(NAME)
    assert is_harmless(caught.value.message + caught.value.hint)


def test_the_number_of_a_version_is_a_number() -> None:
    deleted = {"path": "secret/", "type": "kv", "options": {"version": "2"}}

    def talk(talking: socket.socket) -> None:
        asked = b"/mounts/" in server.asked[-1]
        gone = {"metadata": {"version": EVIL, "deletion_time": "2026"}}
        answering(deleted if asked else gone, "200 OK" if asked else "404 No")(talking)

    with BareServer(talk) as server, pytest.raises(BrokerError, match="is deleted") as caught:
        backend(vault_at(f"http://{server.host}")).fetch(NAME)
    assert is_harmless(caught.value.message + caught.value.hint)


def test_what_it_allows_is_shown_without_what_it_was_sent() -> None:
    paths = ("secret/llm", "secret/", "auth/token/renew-self", "auth/token/revoke-self")
    data = {"path": "secret/", "type": "kv", **{path: [EVIL, "list"] for path in paths}}
    with BareServer(answering(data)) as server:
        found: list[Finding] = backend(vault_at(f"http://{server.host}")).check()
    assert any(each.beyond for each in found)
    assert all(is_harmless("".join((*each.has, *each.beyond, each.hint))) for each in found)


def test_the_name_of_a_person_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, MemoryKeyring())
    with BareServer(answering({"display_name": f"oidc-ada {EVIL}"})) as server:
        vault, clocks = vault_at(f"http://{server.host}"), Clocks()
        person = Person(
            vault, Door("oidc", None, 0, clocks.boot), Keeper(Kept, Enrolled("corp"), {}), clocks
        )
        kept = person._kept(Auth(TOKEN, "an-accessor", None, 0, renewable=False))
    assert kept.shown.startswith("ada ")
    assert is_harmless(kept.shown)


@pytest.mark.parametrize("seconds", [10**400, -(10**400), 2**53])
def test_a_time_that_nothing_can_hold_is_none(seconds: int) -> None:
    found = {"client_token": TOKEN, "lease_duration": seconds, "accessor": "a"}
    with pytest.raises(ServerDown):
        auth_of({"auth": found}, 1.0)
    made = {"lease_id": "db/creds/x/1", "lease_duration": seconds, "password": "of-a-user"}
    terms = read(engine="dynamic", path="db/creds/x", field="password")
    with BareServer(answering(made | {"data": made})) as server:
        session = Session(vault_at(f"http://{server.host}"), Given())
        making = VaultBackend("corp", session, Given(), {NAME: terms}, 30.0)
        with pytest.raises(BackendUnavailable, match="does not say how long"):
            making.make(NAME, None, WHOM)


def test_half_a_character_is_no_key() -> None:
    data = {"path": "secret/", "type": "kv", "key": "sk-\ud800"}
    with BareServer(answering(data)) as server:
        found = backend(vault_at(f"http://{server.host}")).fetch(NAME)
    with pytest.raises(BackendUnavailable, match="a character that no key has"):
        header_text(NAME, found)


def test_the_path_at_which_something_was_wrapped_is_one_line() -> None:
    with BareServer(answering({"creation_path": EVIL})) as server:
        vault = vault_at(f"http://{server.host}")
        with pytest.raises(WrapOpened, match="was made at") as caught:
            Wrapping("a secret id", "auth/approle/role/dev/secret-id").open(vault, "s.wrapping")
    assert is_harmless(caught.value.message)


@pytest.mark.parametrize("allowed", [None, 7, {"data": 7}, {"auth/token/revoke-accessor": 1.5}])
def test_nothing_is_ended_where_it_does_not_say_that_we_may(allowed: Any) -> None:
    with BareServer(answering({"data": allowed})) as server:
        session = Session(vault_at(f"http://{server.host}"), Given())
        with pytest.raises(BackendRefused, match="cannot be ended"):
            session.revoke_accessor("of-somebody")


def test_a_time_of_no_sense_still_names_a_version() -> None:
    metadata = {"version": 3, "created_time": "\ud800"}
    data = {"path": "secret/", "type": "kv", "options": {"version": "2"}, "metadata": metadata}
    with BareServer(answering({**data, "data": {"key": "sk-1"}})) as server:
        found = backend(vault_at(f"http://{server.host}")).fetch(NAME)
    assert found.version.startswith("3-")
