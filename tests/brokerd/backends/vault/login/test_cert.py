"""A login with a TLS certificate: where its private key stands, and what a real server says."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login import cert
from brokerd.backends.vault.login.cert import Certificate
from brokerd.backends.vault.servers import servers
from brokerd.backends.vault.session import Session
from brokerd.table import Table
from brokershim import clock
from brokershim.errors import (
    BackendRefused,
    ConfigError,
    IdentityUnavailable,
    KeyringUnavailable,
    UsageError,
)
from tests.support.client_certificate import ClientCertificate, client_certificate, locked
from tests.support.daemon import PLAIN_UID, new_world, plain_path, plain_python
from tests.support.memory_keyring import MemoryKeyring, use
from tests.support.vault import Server, tls_server
from tests.support.vault_admin import Mounted

ENTRY = ("brokerctl", "backend/corp")
MINE = client_certificate()
OTHER = client_certificate()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with tls_server() as running:
        yield running


@pytest.fixture(scope="module")
def trusting(server: Server) -> Mounted:
    return server.certificates(MINE.certificate, "default", token_ttl="60s")


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    found = MemoryKeyring()
    use(monkeypatch, found)
    return found


@pytest.fixture
def method(tmp_path: Path, keyring: MemoryKeyring) -> Certificate:
    assert keyring.entries == {}
    return make(tmp_path)


def make(folder: Path, pair: ClientCertificate = MINE, **more: str) -> Certificate:
    path = folder / "cert.pem"
    path.write_text(pair.certificate)
    return cert.build(
        "corp", Table("config.toml", "backend.corp", {"cert_file": str(path), **more}), {}
    )


def vault_of(server: Server) -> Vault:
    values = {"address": server.url, "ca_file": str(server.ca_file)}
    return Vault("corp", servers(Table("config.toml", "backend.corp", values)))


def test_it_logs_in_and_lives_on(
    tmp_path: Path, keyring: MemoryKeyring, server: Server, trusting: Mounted
) -> None:
    method = make(tmp_path, auth_mount=trusting.mount, role=trusting.role)
    method.enrol(MINE.key)
    auth = method.login(vault_of(server))
    assert server.lives(auth.token)
    assert (auth.ttl, auth.renewable, auth.ours) == (60.0, True, True)
    assert auth.token not in repr(auth)
    assert keyring.entries[ENTRY] == MINE.key


def test_without_a_role_whichever_fits_is_taken(
    tmp_path: Path, keyring: MemoryKeyring, server: Server, trusting: Mounted
) -> None:
    assert keyring.entries == {}
    method = make(tmp_path, auth_mount=trusting.mount)
    method.enrol(MINE.key)
    assert server.lives(method.login(vault_of(server)).token)


def test_its_renewal_needs_the_certificate_again(
    tmp_path: Path, keyring: MemoryKeyring, server: Server, trusting: Mounted
) -> None:
    assert keyring.entries == {}
    method = make(tmp_path, auth_mount=trusting.mount)
    method.enrol(MINE.key)
    late = 0.0
    session = Session(vault_of(server), method, lambda: clock.now() + late)
    before = session.call(lambda client: client.token, "look")
    late = 45.0
    session.tend()
    due = session.due_at()
    assert due is not None
    assert due > clock.now() + late + 30
    assert session.call(lambda client: client.token, "look") == before
    session.close()
    assert not server.lives(before)


def test_another_certificate_is_refused(
    tmp_path: Path, keyring: MemoryKeyring, server: Server, trusting: Mounted
) -> None:
    assert keyring.entries == {}
    method = make(tmp_path, OTHER, auth_mount=trusting.mount)
    method.enrol(OTHER.key)
    with pytest.raises(BackendRefused):
        method.login(vault_of(server))


def test_without_a_key_it_says_what_to_do(method: Certificate) -> None:
    assert not method.enrolled()
    with pytest.raises(IdentityUnavailable, match="no private key") as refused:
        method.prove(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    assert "brokerctl backend enrol corp < key.pem" in refused.value.hint


def test_a_login_says_what_is_wrong_with_the_proof(
    tmp_path: Path, keyring: MemoryKeyring, server: Server, trusting: Mounted
) -> None:
    method = make(tmp_path, auth_mount=trusting.mount)
    with pytest.raises(IdentityUnavailable, match="no private key"):
        method.login(vault_of(server))
    keyring.refuse = OSError("locked")
    with pytest.raises(KeyringUnavailable):
        method.login(vault_of(server))


def test_a_key_is_kept_and_nothing_beside_it(method: Certificate, keyring: MemoryKeyring) -> None:
    before = method.revision()
    method.enrol(MINE.key + MINE.certificate)
    assert keyring.entries == {ENTRY: MINE.key}
    assert method.enrolled()
    assert method.revision() != before


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (OTHER.key, "not the private key of .*/cert.pem"),
        (locked(MINE.key, "pass"), "locked with a passphrase"),
        (MINE.certificate, "no private key in PEM"),
        (MINE.key[:60], "no private key in PEM"),
        (MINE.key.splitlines()[0], "no private key in PEM"),
        ("hunter2", "no private key in PEM"),
        ("\udc80", "no private key in PEM"),
    ],
)
def test_what_is_not_its_key_is_refused_and_not_repeated(
    method: Certificate, keyring: MemoryKeyring, value: str, said: str
) -> None:
    before = method.revision()
    with pytest.raises(UsageError, match=said) as refused:
        method.enrol(value)
    error: BaseException | None = refused.value
    assert error is not None
    assert (error.__cause__, error.__context__) == (None, None)
    assert value not in json.dumps(refused.value.to_wire())
    assert (keyring.entries, method.revision()) == ({}, before)


def test_a_certificate_that_was_replaced_needs_its_own_key(
    method: Certificate, tmp_path: Path
) -> None:
    method.enrol(MINE.key)
    make(tmp_path, OTHER)
    with pytest.raises(IdentityUnavailable, match="do not fit"):
        method.prove(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))


def test_a_keyring_that_refuses_keeps_nothing(method: Certificate, keyring: MemoryKeyring) -> None:
    before = method.revision()
    keyring.refuse = OSError("locked")
    with pytest.raises(KeyringUnavailable):
        method.enrol(MINE.key)
    with pytest.raises(KeyringUnavailable):
        method.enrolled()
    assert method.revision() == before


@pytest.mark.parametrize("what", ["missing", "a folder", "a pipe", "empty", "no text", "too long"])
def test_a_file_that_holds_no_certificate(method: Certificate, tmp_path: Path, what: str) -> None:
    path = tmp_path / "cert.pem"
    path.unlink()
    if what == "a folder":
        path.mkdir()
    elif what == "a pipe":
        os.mkfifo(path)
    elif what != "missing":
        path.write_bytes({"empty": b"", "no text": b"\xff\0", "too long": b"x" * 40_000}[what])
    with pytest.raises(IdentityUnavailable, match=r"cert\.pem, the certificate of corp"):
        method.enrol(MINE.key)


@pytest.mark.parametrize("values", [{}, {"cert_file": "cert.pem"}, {"cert_file": 5}])
def test_a_table_without_a_certificate(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"backend\.corp: cert_file"):
        cert.build("corp", Table("config.toml", "backend.corp", values), {})


_HARDENED = """
import ssl, sys
sys.path[:0] = {path!r}
from brokerd.harden import harden
from brokerd import keyring
from brokerd.backends.vault.login import cert
from brokerd.table import Table

class Memory:
    def __init__(self): self.kept = None
    def get_password(self, *_): return self.kept
    def set_password(self, _service, _user, value): self.kept = value

memory = Memory()
keyring.find_keyring = lambda: memory
table = Table("config.toml", "backend.corp", {{"cert_file": {file!r}}})
method = cert.build("corp", table, {{}})
harden()
opened = []
sys.addaudithook(lambda event, args: opened.append(args) if event == "open" else None)
method.enrol(sys.stdin.read())
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
method.prove(context)
print([args for args in opened if isinstance(args[0], str) and args[2] & 3])
"""


def test_a_daemon_that_nobody_may_look_into_reads_its_own_pipe() -> None:
    """Not dumpable, /proc/self is root's; a process may still open its own descriptors there."""
    with new_world(PLAIN_UID) as world:
        file = world.home / "cert.pem"
        file.write_text(MINE.certificate)
        code = _HARDENED.format(path=plain_path(), file=str(file))
        done = subprocess.run(
            [*plain_python(), "-c", code],
            input=MINE.key,
            capture_output=True,
            text=True,
            user=PLAIN_UID,
            group=PLAIN_UID,
            check=False,
        )
    # What it opened by a name to write to is nothing.
    assert (done.stdout, done.stderr) == ("[]\n", "")
