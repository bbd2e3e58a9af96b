"""A person logs in to a real Vault at a certified provider, in a real browser."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from functools import partial
from urllib.parse import urlsplit

import pytest

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login import oidc
from brokerd.backends.vault.login.oidc import PersonalLogin
from brokerd.backends.vault.servers import servers
from brokerd.backends.vault.session import Session
from brokerd.table import Table
from brokershim.errors import LoginRefused, LoginRequired
from tests.real.logins import log_in
from tests.support.browser import Person
from tests.support.memory_keyring import MemoryKeyring, use
from tests.support.oidc_provider import OidcProvider
from tests.support.vault import Server, dev_server
from tests.support.vault_admin import Mounted

pytestmark = pytest.mark.slow
REDIRECT = "http://localhost:8250/oidc/callback"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with dev_server() as running:
        yield running


@pytest.fixture(scope="module")
def role(server: Server, provider: OidcProvider) -> Mounted:
    mount = server.auth("oidc")
    server.write(
        f"auth/{mount}/config",
        oidc_discovery_url=provider.url,
        oidc_client_id="vault",
        oidc_client_secret="of the tests",
    )
    terms = {"role_type": "oidc", "user_claim": "email", "oidc_scopes": ["email"]}
    return server.role(mount, ["default"], allowed_redirect_uris=[REDIRECT], **terms)


@pytest.fixture
def table(server: Server, role: Mounted, monkeypatch: pytest.MonkeyPatch) -> Table:
    use(monkeypatch, MemoryKeyring())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    at = {"address": server.url, "auth_mount": role.mount, "role": role.role}
    return Table("config.toml", "backend.corp", {**at, "callback_port": port})


@pytest.fixture
def method(table: Table) -> PersonalLogin:
    return oidc.build("corp", table, {})


def test_a_person_logs_in_and_out(
    method: PersonalLogin, table: Table, server: Server, person: Person
) -> None:
    act = partial(person.log_in, back="localhost")
    standing = log_in(method.account.login("browser"), act).result()
    assert (standing.state, standing.subject) == ("ready", "ada@example.com")
    assert urlsplit(person.page.url).path == "/signed-in"
    assert "ada@example.com" in person.page.inner_text("main")
    assert [each for each in person.complaints if "localhost" in each] == []
    session = Session(Vault("corp", servers(table)), method)
    shown = session.call(lambda client: client.auth.token.lookup_self(), "looking")
    assert shown["data"]["display_name"].endswith("ada@example.com")
    token = session.call(lambda client: client.token, "looking")
    method.account.logout()
    assert not server.lives(token)
    with pytest.raises(LoginRequired):
        session.call(lambda client: client.token, "looking")


def test_a_person_says_no(method: PersonalLogin, person: Person) -> None:
    with pytest.raises(LoginRefused) as refused:
        log_in(method.account.login("browser"), person.refuse).result()
    assert urlsplit(person.page.url).path == "/refused"
    assert json.dumps(refused.value.to_wire())
    assert method.account.standing().state == "login"
