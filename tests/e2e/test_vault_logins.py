"""Logins at a real Vault that a person has a part in, from the terminal to the app."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokerd.identities.oidc.conftest import browse
from tests.e2e.session import ASKING_TWICE, Session
from tests.support.client_certificate import ClientCertificate, client_certificate
from tests.support.issuer import CLIENT, OpenIdIssuer
from tests.support.vault import Server, dev_server, tls_server

pytestmark = pytest.mark.slow
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


def configure(keyed: Session, server: Server, login: str) -> str:
    """Let the app's key be one of a Vault; return what a policy has to allow."""
    mount = server.kv()
    server.put(mount, "llm/openai", key=keyed.new_key())
    text = {"address": server.url, "mount": mount, "login": login, "host": keyed.provider.host}
    keyed.write(".config/brokerctl/config.toml", _CONFIG.format(**text))
    keyed.trust()
    return mount


def reading(server: Server, mount: str) -> str:
    return server.policy({f"{mount}/data/llm/openai": ["read"],
                          f"{mount}/metadata/llm/openai": ["read"]})  # fmt: skip


@pytest.fixture
def issuer() -> Iterator[OpenIdIssuer]:
    with OpenIdIssuer() as running:
        yield running


def test_a_person_logs_in_and_the_key_ends_with_the_login(
    keyed: Session, issuer: OpenIdIssuer
) -> None:
    with dev_server() as server, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        auth = server.auth("oidc")
        known = {"oidc_discovery_url": issuer.url, "oidc_client_id": CLIENT}
        server.write(f"auth/{auth}/config", **known, oidc_client_secret="of the tests")
        login = f'login = "oidc"\nauth_mount = "{auth}"\nrole = "dev"\ncallback_port = {port}'
        mount = configure(keyed, server, login)
        server.write(
            f"auth/{auth}/role/dev",
            role_type="oidc",
            user_claim="email",
            allowed_redirect_uris=["http://localhost:8250/oidc/callback"],
            token_policies=["default", reading(server, mount)],
        )
        listed = keyed.run("brokerctl backend list")
        assert "corp: log in with `brokerctl login corp`" in listed.stderr
        assert keyed.app("ask()").status == 3
        shell = keyed.terminal("brokerctl login --no-browser", NO_COLOR="1")
        shell.expect("waiting for the browser")
        found = re.search(r"http://127\.0\.0\.1:\d+/authorize\?\S+", shell.seen)
        assert found, shell.seen
        assert browse(issuer.consent(found[0])).path == "/signed-in"
        assert shell.end() == 0
        assert f"logged in to corp as ada@example.org ({server.url})" in shell.seen
        assert "ada@example.org" in keyed.run("brokerctl whoami corp").stdout
        checked = keyed.run("brokerctl backend check corp")
        assert checked.status == 0, checked
        with keyed.starts(ASKING_TWICE) as app:
            assert app.says().endswith("is good.")
            keyed.run("brokerctl daemon stop")  # the next one goes on with it
            app.go_on()
            assert app.end() == 0, keyed.printed
        accessors = server.accessors()
        assert keyed.run("brokerctl logout corp").status == 0
        assert len(accessors - server.accessors()) == 1
        assert keyed.app("ask()").status == 3


def test_a_private_key_that_stands_in_the_keyring_alone(keyed: Session) -> None:
    pair: ClientCertificate = client_certificate()
    keyed.keys.append(pair.key.splitlines()[1])  # of which no trace may be anywhere
    certificate = keyed.write("cert.pem", pair.certificate)
    with tls_server() as server:
        login = f'ca_file = "{server.ca_file}"\nlogin = "cert"\ncert_file = "{certificate}"'
        mount = configure(keyed, server, login)
        at = server.certificates(pair.certificate, "default", reading(server, mount))
        text = Path(keyed.root, ".config/brokerctl/config.toml").read_text()
        more = f'login = "cert"\nauth_mount = "{at.mount}"'
        keyed.write(".config/brokerctl/config.toml", text.replace('login = "cert"', more))
        keyed.run("brokerctl daemon stop")
        listed = keyed.run("brokerctl backend list")
        assert "brokerctl backend enrol corp" in listed.stderr, listed
        wrong = keyed.run("brokerctl backend enrol corp", client_certificate().key)
        assert wrong.status == 2
        assert "not the private key of" in wrong.stderr
        assert keyed.run("brokerctl backend enrol corp", pair.key).status == 0
        (row,) = json.loads(keyed.run("brokerctl backend list --json").stdout)
        assert (row["login"], row["enrolment"]["done"]) == ("cert", True)
        done = keyed.app("print(ask())")
        assert done.stdout.endswith("is good.\n"), done
        assert len(server.accessors()) == 2
        keyed.run("brokerctl daemon stop")
        assert len(server.accessors()) == 1  # root's own
