"""A person's login at a Vault: who can finish it, where is its token, and what is left after it?"""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from brokershim.errors import LoginRefused, LoginRequired
from demo import search
from demo.forms import Needles
from tests.security.corp import KEY, MADE, STATIC, Corp, lease, new_corp, refused
from tests.security.scene import STRANGER_UID
from tests.security.test_logins import _STRANGER, get
from tests.security.test_logins import refused as refused_to
from tests.support.daemon import Daemon, plain_python, started, wait_until
from tests.support.issuer import CLIENT, OpenIdIssuer
from tests.support.keyring_session import keyring_session
from tests.support.puppet import Puppet
from tests.support.require import require_linux, require_root
from tests.support.vault import Server

pytestmark = pytest.mark.slow
_BUS = "DBUS_SESSION_BUS_ADDRESS"


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def issuer() -> Iterator[OpenIdIssuer]:
    with OpenIdIssuer() as running:
        yield running


@pytest.fixture
def corp(vault_server: Server, issuer: OpenIdIssuer, port: int) -> Iterator[Corp]:
    """A Vault where people log in, and a keyring."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = stack.enter_context(new_corp(vault_server))
        made.world.environ[_BUS] = stack.enter_context(keyring_session(folder))[_BUS]
        auth = vault_server.auth("oidc")
        known = {"oidc_discovery_url": issuer.url, "oidc_client_id": CLIENT}
        vault_server.write(f"auth/{auth}/config", **known, oidc_client_secret="of the tests")
        back = {"allowed_redirect_uris": [f"http://localhost:{port}/oidc/callback"]}
        who = {"role_type": "oidc", "user_claim": "email", **back}
        role = vault_server.role(auth, ["default", made.policy], **who).role
        login = f'login = "oidc"\nauth_mount = "{auth}"\nrole = "{role}"\ncallback_port = {port}'
        made.configure(login)
        yield made


@pytest.fixture
def daemon(corp: Corp) -> Iterator[Daemon]:
    with started(corp.world) as running:
        yield running


def _begin(who: Puppet) -> tuple[str, str]:
    begun = who.call("login.begin", identity="corp", mode="browser")
    return begun["login"], begun["url"]


def _log_in(who: Puppet, issuer: OpenIdIssuer) -> str:
    """Log in, and return the address that the person went to."""
    login, url = _begin(who)
    assert get(issuer.consent(url)) == 303
    assert who.call("login.wait", login=login, seconds=20)["done"]
    return url


def test_claim_31_its_token_and_its_nonce_are_in_the_daemon_and_the_keyring(
    corp: Corp, daemon: Daemon, issuer: OpenIdIssuer
) -> None:
    person, root = corp.stage.enter(), corp.root()
    replies: list[object] = [_log_in(person, issuer), lease(root, STATIC)["lease"]]
    replies += [daemon.call(each) for each in ("identity.list", "backend.list", "daemon.status")]
    (token,) = corp.lives()
    begun = next(each for each in corp.tap.asked if b"/oidc/auth_url" in each)
    nonce = json.loads(begun.partition(b"\r\n\r\n")[2])["client_nonce"]
    needles = Needles([token, nonce, KEY])
    looked = [
        search.in_processes(needles, "environ"),
        search.in_processes(needles, "cmdline"),
        search.in_folders(needles, [str(corp.world.root)]),
        search.in_texts(needles, {"replies": json.dumps(replies)}),
    ]
    assert all(each.places for each in looked)
    assert [place for each in looked for place in each.found] == []


def test_claim_32_nobody_finishes_it_who_does_not_know_its_state(
    corp: Corp, daemon: Daemon, issuer: OpenIdIssuer
) -> None:
    person = corp.stage.enter()
    login, url = _begin(person)
    honest = issuer.consent(url)
    for state in ("", "guess", login):
        assert get(issuer.consent(url, state=state)) == 400
        assert get(f"{honest.partition('?')[0]}?error=access_denied&state={state}") == 400
    assert get(honest, Host="rebound.example") == 421
    assert get(honest, "POST") == 405
    assert not person.call("login.wait", login=login, seconds=0)["done"]
    assert not any(b"/oidc/callback?" in each for each in corp.tap.asked)
    assert get(honest) == 303
    assert person.call("login.wait", login=login, seconds=20)["done"]
    with pytest.raises(ConnectionRefusedError):
        get(honest)  # a second time: nobody listens there any more
    assert len(corp.lives()) == 1
    daemon.call("identity.logout", identity="corp")


def test_claim_32_another_user_who_knows_its_address_does_not(
    corp: Corp, daemon: Daemon, issuer: OpenIdIssuer, port: int
) -> None:
    require_linux()
    require_root()
    person = corp.stage.enter()
    login, url = _begin(person)
    address = urlsplit(issuer.consent(url))
    request = f"GET {address.path}?{address.query} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"
    command = [*plain_python(), "-c", _STRANGER, str(port), request, "False"]
    found = subprocess.run(command, user=STRANGER_UID, capture_output=True, check=True, text=True)
    assert "400 Bad Request" in found.stdout
    assert not person.call("login.wait", login=login, seconds=0.5)["done"]
    assert get(address.geturl()) == 303
    assert person.call("login.wait", login=login, seconds=20)["done"]
    assert daemon.call("identity.list")


@pytest.mark.parametrize("guess", [{}, {"client_nonce": "guessed"}])
def test_claim_32_who_sees_what_comes_back_cannot_redeem_it(
    corp: Corp, daemon: Daemon, issuer: OpenIdIssuer, guess: dict[str, str]
) -> None:
    """State and code are in the browser's history; the nonce is in the daemon alone."""
    person, thief = corp.stage.enter(), corp.server.client(None)
    _, url = _begin(person)
    query = dict(parse_qsl(urlsplit(issuer.consent(url)).query))
    asked = next(each for each in corp.tap.asked if b"/oidc/auth_url" in each)
    auth = asked.split()[1].decode().removesuffix("auth_url")
    with pytest.raises(Exception, match="client_nonce"):
        thief.adapter.get(f"{auth}callback", params={**query, **guess})
    assert corp.lives() == []
    assert daemon.call("identity.list")


def test_claim_32_a_code_of_another_login_finishes_none(
    corp: Corp, daemon: Daemon, issuer: OpenIdIssuer
) -> None:
    """A page that lays its own code into the answer would log the person in as somebody else."""
    person, root = corp.stage.enter(), corp.root()
    first, url = _begin(person)
    code = dict(parse_qsl(urlsplit(issuer.consent(url)).query))["code"]
    person.call("login.cancel", login=first)
    login, url = _begin(person)
    assert get(issuer.consent(url, code=code)) == 303
    assert isinstance(refused_to(person, "login.wait", login=login, seconds=20), LoginRefused)
    assert isinstance(refused(root, STATIC), LoginRequired)
    assert daemon.call("identity.list")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_claim_32_no_login_begins_where_another_program_waits_for_its_answer(
    corp: Corp, daemon: Daemon, port: int, host: str
) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family):
        error = refused_to(corp.stage.enter(), "login.begin", identity="corp", mode="browser")
    assert error.kind == "backend.identity"
    assert not any(b"/oidc/auth_url" in each for each in corp.tap.asked)
    assert daemon.call("identity.list")


def test_claim_34_a_logout_ends_its_token_and_all_that_was_made_under_it(
    corp: Corp, daemon: Daemon, issuer: OpenIdIssuer
) -> None:
    person, root = corp.stage.enter(), corp.root()
    _log_in(person, issuer)
    for name in (STATIC, MADE):
        lease(root, name)
    assert (len(corp.leases()), len(corp.lives())) == (1, 1)
    person.call("identity.logout", identity="corp")
    wait_until(lambda: daemon.call("lease.list")["leases"] == [], 2)
    assert corp.lives() == []
    wait_until(lambda: corp.leases() == [])
    for name in (STATIC, MADE):
        assert isinstance(refused(root, name), LoginRequired)


def test_claim_34_nor_does_a_login_live_on_that_another_followed(
    corp: Corp, daemon: Daemon, issuer: OpenIdIssuer
) -> None:
    person, root = corp.stage.enter(), corp.root()
    _log_in(person, issuer)
    lease(root, MADE)
    (before,) = corp.lives()
    issuer.claims = {"sub": "user-2", "email": "bob@example.org"}
    _log_in(person, issuer)
    wait_until(lambda: daemon.call("lease.list")["leases"] == [], 2)
    wait_until(lambda: corp.leases() == [])
    lease(root, MADE)
    (after,) = corp.lives()
    assert before != after
