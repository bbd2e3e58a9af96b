"""Logins at a real Vault that a person has a part in, from the terminal to the app."""

from __future__ import annotations

import json
import re
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.provider import Provider
from tests.brokerd.identities.oidc.conftest import browse
from tests.e2e.session import Session
from tests.support.client_certificate import ClientCertificate, client_certificate
from tests.support.issuer import CLIENT, OpenIdIssuer
from tests.support.keyring_session import keyring_session
from tests.support.vault import Server, dev_server, tls_server

pytestmark = pytest.mark.slow
_BUS = "DBUS_SESSION_BUS_ADDRESS"
_CONFIG = """
[store]
master_key = "passphrase"

[backend.corp]
kind = "vault"
address = "{address}"
{login}

[secret."openai/dev"]
backend = "corp"
mount = "{mount}"
path = "llm/openai"
field = "key"
hosts = ["{host}"]
"""
_APP = "print(ask(), flush=True)\ninput()\nprint(ask(), flush=True)\n"


@pytest.fixture
def session(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Session]:
    """A home with a keyring, and nothing done yet."""
    with ExitStack() as stack:
        # A socket's address is short, so the keyring stands not below pytest's folders.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bus = stack.enter_context(keyring_session(folder))[_BUS]
        monkeypatch.setenv(_BUS, bus)
        made = Session(tmp_path, provider)
        made.environment[_BUS] = bus
        yield made
        made.close()


def configure(session: Session, server: Server, login: str) -> str:
    """Let the app's key be one of a Vault; return what a policy has to allow."""
    mount = server.kv()
    server.put(mount, "llm/openai", key=session.new_key())
    text = {"address": server.url, "mount": mount, "login": login, "host": session.provider.host}
    session.write(".config/brokerctl/config.toml", _CONFIG.format(**text))
    session.trust()
    return mount


def reading(server: Server, mount: str) -> str:
    return server.policy({f"{mount}/data/llm/openai": ["read"],
                          f"{mount}/metadata/llm/openai": ["read"]})  # fmt: skip


@pytest.fixture
def issuer() -> Iterator[OpenIdIssuer]:
    with OpenIdIssuer() as running:
        yield running


def test_a_person_logs_in_and_the_key_ends_with_the_login(
    session: Session, issuer: OpenIdIssuer
) -> None:
    with dev_server() as server, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        auth = server.auth("oidc")
        known = {"oidc_discovery_url": issuer.url, "oidc_client_id": CLIENT}
        server.write(f"auth/{auth}/config", **known, oidc_client_secret="of the tests")
        login = f'login = "oidc"\nauth_mount = "{auth}"\nrole = "dev"\ncallback_port = {port}'
        mount = configure(session, server, login)
        server.write(
            f"auth/{auth}/role/dev",
            role_type="oidc",
            user_claim="email",
            allowed_redirect_uris=["http://localhost:8250/oidc/callback"],
            token_policies=["default", reading(server, mount)],
        )
        listed = session.run("brokerctl backend list")
        assert "corp: log in with `brokerctl login corp`" in listed.stderr
        assert session.app("ask()").status == 3
        shell = session.terminal("brokerctl login --no-browser", NO_COLOR="1")
        shell.expect("waiting for the browser")
        found = re.search(r"http://127\.0\.0\.1:\d+/authorize\?\S+", shell.seen)
        assert found, shell.seen
        assert browse(issuer.consent(found[0])).path == "/signed-in"
        assert shell.end() == 0
        assert f"logged in to corp as ada@example.org ({server.url})" in shell.seen
        assert "ada@example.org" in session.run("brokerctl whoami corp").stdout
        checked = session.run("brokerctl backend check corp")
        assert checked.status == 0, checked
        with session.starts(_APP) as app:
            assert app.says().endswith("is good.")
            session.run("brokerctl daemon stop")  # the next one goes on with it
            app.go_on()
            assert app.end() == 0, session.printed
        accessors = server.accessors()
        assert session.run("brokerctl logout corp").status == 0
        assert len(accessors - server.accessors()) == 1
        assert session.app("ask()").status == 3


def test_a_private_key_that_stands_in_the_keyring_alone(session: Session) -> None:
    pair: ClientCertificate = client_certificate()
    session.keys.append(pair.key.splitlines()[1])  # of which no trace may be anywhere
    certificate = session.write("cert.pem", pair.certificate)
    with tls_server() as server:
        login = f'ca_file = "{server.ca_file}"\nlogin = "cert"\ncert_file = "{certificate}"'
        mount = configure(session, server, login)
        at = server.certificates(pair.certificate, "default", reading(server, mount))
        text = Path(session.root, ".config/brokerctl/config.toml").read_text()
        more = f'login = "cert"\nauth_mount = "{at.mount}"'
        session.write(".config/brokerctl/config.toml", text.replace('login = "cert"', more))
        session.run("brokerctl daemon stop")
        listed = session.run("brokerctl backend list")
        assert "brokerctl backend enrol corp" in listed.stderr, listed
        wrong = session.run("brokerctl backend enrol corp", client_certificate().key)
        assert wrong.status == 2
        assert "not the private key of" in wrong.stderr
        assert session.run("brokerctl backend enrol corp", pair.key).status == 0
        (row,) = json.loads(session.run("brokerctl backend list --json").stdout)
        assert (row["login"], row["enrolment"]["done"]) == ("cert", True)
        done = session.app("print(ask())")
        assert done.stdout.endswith("is good.\n"), done
        assert len(server.accessors()) == 2
        session.run("brokerctl daemon stop")
        assert len(server.accessors()) == 1  # root's own
