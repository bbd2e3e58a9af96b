"""Can a server that wants a certificate of everybody be used with a login by certificate?"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Hashable, Iterator
from pathlib import Path

import pytest

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login.base import Auth
from brokerd.backends.vault.session import Session
from brokershim import clock
from brokershim.errors import IdentityUnavailable
from tests.support.bare_server import BareServer
from tests.support.certificate import self_signed
from tests.support.vault_client import vault_at

ANSWER = b'{"data": {}, "auth": {"client_token": "a", "lease_duration": 60, "renewable": true}}'


class _Proving:
    """Is logged in already, and has a certificate; each connection that it was put on."""

    kind = "cert"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.proved: list[ssl.SSLContext] = []

    def revision(self) -> Hashable:
        return 0

    def login(self, vault: Vault) -> Auth:
        del vault
        return Auth("a-token", "an-accessor", clock.now() + 60.0, 60.0, renewable=True)

    def prove(self, context: ssl.SSLContext) -> None:
        context.load_cert_chain(self._folder / "certificate.pem", self._folder / "key.pem")
        self.proved.append(context)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BareServer]:
    """Run one that answers nobody who has no certificate."""
    context, authority = self_signed(tmp_path, "127.0.0.1")
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(ANSWER)}\r\n\r\n".encode()

    def talk(talking: socket.socket) -> None:
        talking.sendall(head + ANSWER)

    with BareServer(talk, context) as running:
        yield running


def test_each_request_proves_who_it_is_from(server: BareServer, tmp_path: Path) -> None:
    vault = vault_at(f"https://{server.host}", ca_file=str(tmp_path / "certificate.pem"))
    with pytest.raises(IdentityUnavailable):
        vault.client("a-token").read("a")
    method = _Proving(tmp_path)
    session = Session(vault, method)
    assert session.call(lambda client: client.read("a"))
    session.close()
    assert b"revoke-self" in server.asked[-1]
    assert len(method.proved) == len(server.asked)
