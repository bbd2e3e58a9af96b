"""A person's login at a real server, whose provider is a small one on loopback."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login import browsing, oidc
from brokerd.backends.vault.login.browsing import BrowserLogin
from brokerd.backends.vault.login.oidc import PersonalLogin
from brokerd.backends.vault.servers import servers
from brokerd.backends.vault.session import Session
from brokerd.identities.base import Standing
from brokerd.identities.oidc.loopback import Loopback
from brokerd.table import Table
from brokershim.errors import (
    BackendRefused,
    ConfigError,
    IdentityUnavailable,
    KeyringUnavailable,
    LoginRefused,
    LoginRequired,
    LoginUnderWay,
    ServerDown,
)
from tests.brokerd.identities.oidc.conftest import Seen, ask, browse, waiting
from tests.support.issuer import CLIENT, OpenIdIssuer
from tests.support.memory_keyring import MemoryKeyring, use
from tests.support.vault import Server, dev_server
from tests.support.vault_admin import Mounted

ENTRY = ("brokerctl", "backend/corp")
USUAL = {
    "role_type": "oidc",
    "user_claim": "email",
    "allowed_redirect_uris": ["http://localhost:8250/oidc/callback"],
    "token_ttl": "60s",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with dev_server() as running:
        yield running


@pytest.fixture(scope="module")
def issuer() -> Iterator[OpenIdIssuer]:
    with OpenIdIssuer() as running:
        yield running


@pytest.fixture(scope="module")
def mount(server: Server, issuer: OpenIdIssuer) -> str:
    found = server.auth("oidc")
    server.write(
        f"auth/{found}/config",
        oidc_discovery_url=issuer.url,
        oidc_client_id=CLIENT,
        oidc_client_secret="of the tests",
    )
    return found


@pytest.fixture(scope="module")
def role(server: Server, mount: str) -> Mounted:
    return server.role(mount, ["default"], **USUAL)


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    found = MemoryKeyring()
    use(monkeypatch, found)
    return found


@pytest.fixture
def method(server: Server, role: Mounted, keyring: MemoryKeyring) -> PersonalLogin:
    assert keyring.entries == {}
    return make(server, role)


def make(server: Server, at: Mounted, **more: Any) -> PersonalLogin:
    return oidc.build("corp", table_of(server, at, **more), {})


def table_of(server: Server, at: Mounted, **more: Any) -> Table:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    values = {
        "address": server.url,
        "auth_mount": at.mount,
        "role": at.role,
        "callback_port": port,
        **more,
    }
    return Table("config.toml", "backend.corp", values)


def vault_of(server: Server) -> Vault:
    table = Table("config.toml", "backend.corp", {"address": server.url})
    return Vault("corp", servers(table))


def log_in(
    method: PersonalLogin, issuer: OpenIdIssuer, **changes: str
) -> tuple[Seen, Future[Standing]]:
    """Log in as a person would; return the last page, and what it came to."""
    login = method.account.login("browser")
    outcome = waiting(login)
    seen = browse(issuer.consent(login.url, **changes))
    outcome.exception(10)
    return seen, outcome


def kept(keyring: MemoryKeyring) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(keyring.entries[ENTRY])
    return found


def test_a_person_logs_in(
    method: PersonalLogin, issuer: OpenIdIssuer, server: Server, keyring: MemoryKeyring
) -> None:
    with pytest.raises(LoginRequired, match="nobody is logged in to corp") as refused:
        method.login(vault_of(server))
    assert "brokerctl login corp" in refused.value.hint
    assert method.account.standing().state == "login"
    before = method.revision()
    seen, outcome = log_in(method, issuer)
    standing = outcome.result()
    assert (standing.state, standing.subject) == ("ready", "ada@example.org")
    assert standing.issuer == server.url
    assert standing.until is None  # it is renewed
    assert (seen.status, seen.path) == (200, "/signed-in")
    assert "ada@example.org" in seen.body
    assert method.revision() != before
    auth = method.login(vault_of(server))
    assert (auth.token, auth.ours, auth.lasting) == (kept(keyring)["token"], True, True)
    assert server.lives(auth.token)
    assert auth.token not in repr(auth) + repr(method.account.current())


def test_the_question_is_the_servers_and_the_way_back_is_ours(method: PersonalLogin) -> None:
    login = method.account.login("browser")
    asked = parse_qs(urlsplit(login.url).query)
    login.cancel()
    assert login.user_code is None
    assert asked["client_id"] == [CLIENT]
    back = urlsplit(asked["redirect_uri"][0])
    assert (back.scheme, back.hostname, back.path) == ("http", "localhost", "/oidc/callback")


def test_by_default_it_comes_back_to_where_the_vault_command_does(
    server: Server, role: Mounted, keyring: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert keyring.entries == {}
    asked: list[tuple[int, str]] = []

    def listen(port: int, host: str) -> Loopback:
        asked.append((port, host))
        return Loopback(0, host)

    monkeypatch.setattr(browsing, "Loopback", listen)
    values = {"address": server.url, "auth_mount": role.mount, "role": role.role}
    found = oidc.build("corp", Table("config.toml", "backend.corp", values), {})
    found.account.login("browser").cancel()
    assert asked == [(8250, "localhost")]


def test_a_daemon_that_is_started_anew_goes_on_with_it(
    method: PersonalLogin, issuer: OpenIdIssuer, server: Server, role: Mounted
) -> None:
    log_in(method, issuer)
    session = Session(vault_of(server), method)
    token = session.call(lambda client: client.token, "look")
    session.close()
    assert server.lives(token)
    again = make(server, role)
    assert again.account.standing().subject == "ada@example.org"
    assert Session(vault_of(server), again).call(lambda client: client.token, "look") == token


@pytest.mark.parametrize("change", [
    {"role": "another"}, {"auth_mount": "another"}, {"namespace": "team-a"},
    {"address": "http://127.0.0.1:9"},
])  # fmt: skip
def test_a_token_goes_to_no_other_place(
    method: PersonalLogin, issuer: OpenIdIssuer, server: Server, role: Mounted,
    keyring: MemoryKeyring, change: dict[str, str],
) -> None:  # fmt: skip
    log_in(method, issuer)
    token = kept(keyring)["token"]
    elsewhere = make(server, role, **change)
    with pytest.raises(LoginRequired):
        elsewhere.login(vault_of(server))
    elsewhere.account.logout()
    assert keyring.entries == {}
    assert server.lives(token)


@pytest.mark.parametrize("entry", ["", "[]", "nonsense", "{}", "[" * 100_000, '{"bound": null}'])
def test_an_entry_that_is_no_login_is_none(
    method: PersonalLogin, keyring: MemoryKeyring, entry: str
) -> None:
    keyring.entries[ENTRY] = entry
    assert method.account.standing().state == "login"


@pytest.mark.parametrize(("field", "value"), [
    ("token", 7), ("until", "soon"), ("until", float("nan")), ("looks", 1), ("more", 1),
])  # fmt: skip
def test_an_entry_with_a_wrong_field_is_none(
    method: PersonalLogin, issuer: OpenIdIssuer, keyring: MemoryKeyring, field: str, value: Any
) -> None:
    log_in(method, issuer)
    keyring.entries[ENTRY] = json.dumps({**kept(keyring), field: value})
    assert method.account.standing().state == "login"


def test_logging_out_ends_it_at_the_server(
    method: PersonalLogin, issuer: OpenIdIssuer, server: Server, keyring: MemoryKeyring
) -> None:
    log_in(method, issuer)
    token, before = kept(keyring)["token"], method.revision()
    method.account.logout()
    assert keyring.entries == {}
    assert not server.lives(token)
    assert method.revision() != before
    method.account.logout()  # none is no error


def test_logging_out_of_what_is_over_is_no_error(
    method: PersonalLogin, issuer: OpenIdIssuer, server: Server, keyring: MemoryKeyring
) -> None:
    log_in(method, issuer)
    server.root.auth.token.revoke(kept(keyring)["token"])
    method.account.logout()
    assert keyring.entries == {}


def test_logging_out_without_the_server_forgets_all_the_same(
    method: PersonalLogin, issuer: OpenIdIssuer, server: Server, role: Mounted,
    keyring: MemoryKeyring,
) -> None:  # fmt: skip
    log_in(method, issuer)
    away = make(server, role)
    away.account._vault = Vault("corp", servers(Table("c", "b", {"address": "http://127.0.0.1:9"})))
    with pytest.raises(ServerDown):
        away.account.logout()
    assert keyring.entries == {}


def test_a_token_that_may_not_revoke_itself_is_said_to_live(
    server: Server, mount: str, issuer: OpenIdIssuer, keyring: MemoryKeyring
) -> None:
    nothing = server.role(mount, [], token_no_default_policy=True, **USUAL)
    method = make(server, nothing)
    _, outcome = log_in(method, issuer)
    assert outcome.result().subject == f"role {nothing.role}"
    token, accessor = kept(keyring)["token"], kept(keyring)["accessor"]
    assert method.login(vault_of(server)).token == token
    with pytest.raises(ServerDown, match="does not take the login back"):
        method.account.logout()
    assert keyring.entries == {}
    assert accessor in server.accessors()


def test_a_login_that_the_server_ended_is_forgotten(
    method: PersonalLogin, issuer: OpenIdIssuer, server: Server, keyring: MemoryKeyring
) -> None:
    log_in(method, issuer)
    before = method.revision()
    server.root.auth.token.revoke(kept(keyring)["token"])
    with pytest.raises(LoginRequired, match="the login is over at corp"):
        method.login(vault_of(server))
    assert keyring.entries == {}
    assert method.revision() != before


def test_another_login_ends_the_one_before(
    method: PersonalLogin, issuer: OpenIdIssuer, server: Server, keyring: MemoryKeyring
) -> None:
    log_in(method, issuer)
    first, before = kept(keyring)["token"], method.revision()
    log_in(method, issuer)
    assert not server.lives(first)
    assert server.lives(kept(keyring)["token"])
    assert method.revision() != before


def test_a_login_that_is_not_lengthened_any_more_says_when_it_ends(
    method: PersonalLogin, issuer: OpenIdIssuer, server: Server
) -> None:
    log_in(method, issuer)
    method.login(vault_of(server))
    assert (method.account.standing().state, method.account.standing().until) == ("ready", None)
    method.login(vault_of(server))  # a session asks once more where renewing gains nothing
    standing = method.account.standing()
    assert standing.state == "due"
    assert 50 < (standing.until or 0) <= 60
    log_in(method, issuer)
    assert method.account.standing().until is None


def test_a_server_that_does_not_renew_it_is_asked_how_long_it_lives(
    server: Server, mount: str, issuer: OpenIdIssuer, keyring: MemoryKeyring
) -> None:
    assert keyring.entries == {}
    looking = server.policy({"auth/token/lookup-self": ["read"]})
    method = make(server, server.role(mount, [looking], token_no_default_policy=True, **USUAL))
    log_in(method, issuer)
    auth = method.login(vault_of(server))
    assert server.lives(auth.token)
    assert (auth.ours, auth.lasting, auth.ttl) == (True, True, 60.0)


def test_what_a_daemon_that_was_killed_left_under_it_ends_with_it(
    method: PersonalLogin, issuer: OpenIdIssuer, server: Server, role: Mounted,
    keyring: MemoryKeyring,
) -> None:  # fmt: skip
    log_in(method, issuer)
    risk = Session(vault_of(server), method).risk()
    assert risk is not None
    Session(vault_of(server), make(server, role)).revoke_accessor(risk)
    assert not server.lives(kept(keyring)["token"])


def test_who_goes_by_a_login_sees_its_end(
    method: PersonalLogin, issuer: OpenIdIssuer, server: Server
) -> None:
    log_in(method, issuer)
    session = Session(vault_of(server), method)
    session.call(lambda client: client.token, "look")
    before = session.generation()
    method.account.logout()
    assert session.generation() != before
    session.tend()
    with pytest.raises(LoginRequired):
        session.call(lambda client: client.token, "look")


def test_a_token_that_cannot_be_renewed_says_when_it_ends(
    server: Server, mount: str, issuer: OpenIdIssuer, keyring: MemoryKeyring
) -> None:
    batch = server.role(mount, ["default"], **{**USUAL, "token_ttl": "2h", "token_type": "batch"})
    method = make(server, batch)
    _, outcome = log_in(method, issuer)
    standing = outcome.result()
    assert standing.state == "ready"
    assert 7000 < (standing.until or 0) <= 7200
    auth = method.login(vault_of(server))
    assert (auth.accessor, auth.renewable) == (None, False)
    method.account.logout()  # nobody can end it
    assert keyring.entries == {}


def test_a_person_says_no(method: PersonalLogin, issuer: OpenIdIssuer) -> None:
    seen, outcome = log_in(method, issuer, error="access_denied")
    assert seen.path == "/refused"
    with pytest.raises(LoginRefused, match="access_denied"):
        outcome.result()
    assert method.account.standing().state == "login"


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"code": ""}, "without a code"), ({"code": "of-another-login"}, "corp at auth/oidc-")],
)
def test_an_answer_that_is_wrong_ends_the_login(
    method: PersonalLogin, issuer: OpenIdIssuer, changes: dict[str, str], said: str
) -> None:
    seen, outcome = log_in(method, issuer, **changes)
    assert seen.path == "/failed"
    with pytest.raises(LoginRefused, match=said) as refused:
        outcome.result()
    assert "of-another-login" not in json.dumps(refused.value.to_wire()) + seen.body


def test_who_knows_no_state_ends_nothing(method: PersonalLogin, issuer: OpenIdIssuer) -> None:
    login = method.account.login("browser")
    outcome = waiting(login)
    answer = issuer.consent(login.url)
    assert ask(answer.partition("?")[0] + "?code=stolen&state=wrong").status == 400
    assert browse(answer).path == "/signed-in"
    assert outcome.result(10).state == "ready"


def test_a_code_is_worth_nothing_without_our_nonce(
    method: PersonalLogin, issuer: OpenIdIssuer, server: Server, role: Mounted
) -> None:
    """Whoever sees the address that the browser comes back to has the state and the code."""
    login = method.account.login("browser")
    brought = parse_qs(urlsplit(issuer.consent(login.url)).query)
    stolen = {key: brought[key][0] for key in ("state", "code")}
    with pytest.raises(Exception, match="client_nonce"):
        server.client(None).adapter.get(f"/v1/auth/{role.mount}/oidc/callback", params=stolen)
    login.cancel()


def test_one_at_a_time(method: PersonalLogin, issuer: OpenIdIssuer) -> None:
    login = method.account.login("browser")
    with pytest.raises(LoginUnderWay):
        method.account.login("browser")
    login.cancel()
    assert log_in(method, issuer)[1].result().state == "ready"


def test_there_is_no_way_with_a_code(method: PersonalLogin) -> None:
    with pytest.raises(IdentityUnavailable, match="no login with a code"):
        method.account.login("device")


def test_given_up_while_the_server_is_asked(
    method: PersonalLogin, issuer: OpenIdIssuer, server: Server, keyring: MemoryKeyring
) -> None:
    login = method.account.login("browser")
    assert isinstance(login, BrowserLogin)
    before, take = server.accessors(), login._take

    def late(*given: Any) -> Standing:
        login.cancel()
        return take(*given)

    login._take = late
    outcome = waiting(login)
    assert browse(issuer.consent(login.url)).path == "/failed"
    with pytest.raises(LoginRefused, match="given up"):
        outcome.result(10)
    assert keyring.entries == {}
    assert server.accessors() == before  # what it brought is ended


def test_a_keyring_that_does_not_keep_it_keeps_the_login_before(
    method: PersonalLogin, issuer: OpenIdIssuer, server: Server, keyring: MemoryKeyring,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    log_in(method, issuer)
    first, before = keyring.entries[ENTRY], server.accessors()
    monkeypatch.setattr(keyring, "set_password", lambda *_: None)
    _, outcome = log_in(method, issuer)
    with pytest.raises(KeyringUnavailable, match="did not keep"):
        outcome.result()
    assert keyring.entries[ENTRY] == first
    assert server.accessors() == before
    keyring.refuse = OSError("locked")
    with pytest.raises(KeyringUnavailable):  # before a person takes the trouble
        method.account.login("browser")
    assert method.account.standing().state == "failed"


def test_an_address_that_the_role_does_not_know(
    server: Server, mount: str, keyring: MemoryKeyring
) -> None:
    assert keyring.entries == {}
    other = {**USUAL, "allowed_redirect_uris": ["https://vault.example/ui/oidc/callback"]}
    with pytest.raises(BackendRefused, match="does not let a browser come back") as refused:
        make(server, server.role(mount, [], **other)).account.login("browser")
    assert "allowed_redirect_uris" in refused.value.hint


def test_a_mount_or_a_role_that_is_not_there(
    server: Server, role: Mounted, keyring: MemoryKeyring
) -> None:
    assert keyring.entries == {}
    for at in (Mounted("nowhere", role.role), Mounted(role.mount, "nobody")):
        method = make(server, at)
        for _ in range(2):  # the first has left the port and the turn free
            with pytest.raises(BackendRefused) as refused:
                method.account.login("browser")
            assert f"auth/{at.mount} is one of the kind oidc" in refused.value.hint


def test_a_port_that_somebody_else_has(
    server: Server, role: Mounted, keyring: MemoryKeyring
) -> None:
    assert keyring.entries == {}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(IdentityUnavailable, match=f"port {port}") as refused:
            make(server, role, callback_port=port).account.login("browser")
        assert "callback_port" in refused.value.hint


@pytest.mark.parametrize("url", ["http://evil.example/?state=x", "https://id.example/", "x"])
def test_people_are_sent_nowhere_else(
    method: PersonalLogin, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(BrowserLogin, "_begun", lambda _: url)
    with pytest.raises(ServerDown, match="where it sends people"):
        method.account.login("browser")


def test_the_port_is_one(server: Server, role: Mounted) -> None:
    for port in (0, 65536, "x"):
        with pytest.raises(ConfigError, match="callback_port"):
            oidc.build("corp", table_of(server, role, callback_port=port), {})


def test_what_cannot_be_ended_is_in_the_log_without_its_token(
    method: PersonalLogin, issuer: OpenIdIssuer, keyring: MemoryKeyring,
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    log_in(method, issuer)
    first = kept(keyring)["token"]

    def down(*_: object, **__: object) -> None:
        raise ServerDown("corp cannot be reached")

    monkeypatch.setattr(method.account, "_end", down)
    with caplog.at_level(logging.WARNING):
        log_in(method, issuer)
    assert "is not ended: corp cannot be reached" in caplog.text
    assert first not in caplog.text
