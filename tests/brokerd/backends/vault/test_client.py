"""Is a real server asked as it should be, and is each of its answers told apart?"""

from __future__ import annotations

import importlib
import os
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.faults import translated
from brokershim.errors import (
    BackendRefused,
    BackendTimeout,
    BrokerError,
    IdentityUnavailable,
    NamespaceNotFound,
    NotFound,
    RateLimited,
    ServerDown,
    ServerSealed,
    ServerUnproven,
    ServerUnresolved,
)
from tests.support.bare_server import BareServer
from tests.support.certificate import self_signed
from tests.support.require import require_namespaces
from tests.support.vault import Server, dev_server, tls_server
from tests.support.vault_client import vault_at

hvac: Any = importlib.import_module("hvac")  # it carries no types


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brokerd.backends.vault.transport._PAUSES", (0.0, 0.0))


@pytest.fixture(scope="module")
def secured() -> Iterator[Server]:
    with tls_server() as running:
        yield running


@pytest.fixture(scope="module")
def kv(vault_server: Server) -> str:
    mount = vault_server.kv()
    vault_server.put(mount, "llm/openai", key="of-the-tests")
    return mount


def _read(vault: Vault, token: str | None, mount: str, path: str = "llm/openai") -> Any:
    with translated(f"reading {mount}/{path}"):
        read = vault.client(token).secrets.kv.v2.read_secret_version
        return read(path, mount_point=mount, raise_on_deleted_version=True)["data"]["data"]["key"]


def _whoami(vault: Vault, token: str) -> Any:
    with translated("looking the token up"):
        return vault.client(token).auth.token.lookup_self()["data"]["policies"]


def _error(kind: type[BrokerError], ask: Any, *args: Any) -> BrokerError:
    with pytest.raises(kind) as caught:
        ask(*args)
    assert caught.value.__context__ is None
    return caught.value


def test_a_secret_is_read(vault_server: Server, kv: str) -> None:
    token = vault_server.token(vault_server.policy({f"{kv}/data/*": ["read"]}))["client_token"]
    assert _read(vault_at(vault_server.url), token, kv) == "of-the-tests"


@pytest.mark.parametrize("token", [None, "hvs.of-nobody", "s.of-nobody"])
def test_without_a_good_token_none_is(vault_server: Server, kv: str, token: str | None) -> None:
    error = _error(BackendRefused, _read, vault_at(vault_server.url), token, kv)
    assert error.message.startswith(f"reading {kv}/llm/openai: ")
    assert "permission denied" in error.message


def test_without_the_right_neither(vault_server: Server, kv: str) -> None:
    token = vault_server.token(vault_server.policy({f"{kv}/data/b": ["read"]}))["client_token"]
    error = _error(BackendRefused, _read, vault_at(vault_server.url), token, kv)
    assert token not in repr(error)


def test_what_is_not_there_is_not_found(vault_server: Server, kv: str) -> None:
    vault, root = vault_at(vault_server.url), vault_server.root.token
    error = _error(NotFound, _read, vault, root, kv, "llm/none")
    assert error.message == f"reading {kv}/llm/none: there is no such thing"
    assert "no handler for route" in _error(NotFound, _read, vault, root, "none").message
    with pytest.raises(NotFound) as caught, translated("reading it"):
        vault.client(root).auth.jwt.read_role("none", path="none")
    assert type(caught.value) is NotFound


def test_a_deleted_version_is_told_apart_by_hvac(vault_server: Server) -> None:
    mount = vault_server.kv()
    vault_server.put(mount, "a", key="b")
    client = vault_at(vault_server.url).client(vault_server.root.token)
    client.secrets.kv.v2.delete_latest_version_of_secret("a", mount_point=mount)
    with pytest.raises(hvac.exceptions.InvalidPath) as caught:
        client.adapter.get(f"/v1/{mount}/data/a")
    assert caught.value.json["data"]["metadata"]["deletion_time"]


def test_what_the_server_says_of_a_request_is_told(vault_server: Server) -> None:
    client = vault_at(vault_server.url).client(vault_server.root.token)
    with pytest.raises(BackendRefused) as caught, translated("renewing it"):
        client.sys.renew_lease("a/b/c")
    assert caught.value.message == "renewing it: lease not found"


def test_a_namespace_is_a_world_of_its_own(vault_server: Server) -> None:
    with vault_server.within() as team:
        mount = team.kv()
        team.put(mount, "llm/openai", key="of-the-team")
        root = vault_server.root.token
        inside = vault_at(vault_server.url, namespace=team.namespace)
        assert _read(inside, root, mount) == "of-the-team"
        _error(NotFound, _read, vault_at(vault_server.url), root, mount)


def test_a_namespace_that_is_not_there_is_named(vault_server: Server, kv: str) -> None:
    require_namespaces(vault_server.has_namespaces())
    nowhere = vault_at(vault_server.url, namespace="no/such")
    _error(NamespaceNotFound, _read, nowhere, vault_server.root.token, kv)
    with pytest.raises(NamespaceNotFound), translated("logging in"):
        nowhere.client().auth.jwt.jwt_login("dev", "e.y.J")


def test_a_quota_asks_for_a_pause(vault_server: Server) -> None:
    mount, vault = vault_server.kv(), vault_at(vault_server.url)
    vault_server.put(mount, "llm/openai", key="a")
    vault_server.write("sys/quotas/config", enable_rate_limit_response_headers=True)
    with vault_server.quota(mount, rate=1, interval="60s"):
        _read(vault, vault_server.root.token, mount)
        error = _error(RateLimited, _read, vault, vault_server.root.token, mount)
        vault_server.write("sys/quotas/config", enable_rate_limit_response_headers=False)
        silent = _error(RateLimited, _read, vault, vault_server.root.token, mount)
    assert 0 < error.details["retry_after"] <= 60
    assert "retry_after" not in silent.details
    assert error.details["sent"] is False


def test_a_sealed_server_is_passed_over_and_one_that_hangs_too(
    vault_server: Server, kv: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with dev_server() as other:
        alone, root = vault_at(other.url), vault_server.root.token
        with monkeypatch.context() as soon, other.process.paused():
            soon.setattr("brokerd.backends.vault.transport.TOTAL_SECONDS", 0.4)
            assert _read(vault_at(other.url, vault_server.url), root, kv) == "of-the-tests"
            _error(BackendTimeout, _whoami, alone, root)
        other.seal()
        error = _error(ServerSealed, _whoami, alone, root)
        assert error.details["sent"] is False
        assert _read(vault_at(other.url, vault_server.url), root, kv) == "of-the-tests"
        with pytest.raises(ServerSealed):
            alone.client().sys.read_health_status(method="GET")
        other.process.kill()
        assert "nothing listens there" in _error(ServerDown, _whoami, alone, root).message
        assert _read(vault_at(other.url, vault_server.url), root, kv) == "of-the-tests"


def test_over_tls_with_the_right_authority(secured: Server) -> None:
    vault = vault_at(secured.url, ca_file=str(secured.ca_file))
    assert _whoami(vault, secured.root.token) == ["root"]
    named = vault_at(secured.url, ca_file=str(secured.ca_file), tls_server_name="localhost")
    assert _whoami(named, secured.root.token) == ["root"]


def test_not_with_the_systems_nor_another(secured: Server, tmp_path: Path) -> None:
    error = _error(ServerUnproven, _whoami, vault_at(secured.url), secured.root.token)
    assert "unable to get local issuer certificate" in error.message
    assert error.details["sent"] is False
    other = self_signed(tmp_path, "127.0.0.1")[1]
    _error(ServerUnproven, _whoami, vault_at(secured.url, ca_file=str(other)), "root")


def test_not_under_another_name(secured: Server) -> None:
    named = {"ca_file": str(secured.ca_file), "tls_server_name": "vault.internal"}
    error = _error(ServerUnproven, _whoami, vault_at(secured.url, **named), "root")
    assert "cannot prove that it is vault.internal" in error.message


def test_an_authority_that_is_renewed_counts_at_once(secured: Server, tmp_path: Path) -> None:
    file = self_signed(tmp_path, "127.0.0.1")[1]
    vault = vault_at(secured.url, ca_file=str(file))
    _error(ServerUnproven, _whoami, vault, "root")
    assert secured.ca_file is not None
    file.write_bytes(secured.ca_file.read_bytes())
    assert _whoami(vault, secured.root.token) == ["root"]
    file.unlink()
    error = _error(ServerUnproven, _whoami, vault, "root")
    assert error.details["sent"] is False


def test_a_plain_server_proves_nothing(vault_server: Server) -> None:
    vault = vault_at(vault_server.url.replace("http:", "https:"))
    assert "TLS: " in _error(ServerUnproven, _whoami, vault, "root").message


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_wants_a_certificate_of_ours(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """In TLS 1.3 it says so after the request, which it has not read: nothing was made."""
    context, authority = self_signed(tmp_path, "127.0.0.1")
    context.load_verify_locations(authority)
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, version
    said = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    with BareServer(lambda talking: talking.sendall(said), context) as server:
        vault = vault_at(f"https://{server.host}", ca_file=str(authority))
        with pytest.raises(IdentityUnavailable, match="wants a TLS certificate of ours") as caught:
            vault.client("root", once=True).read("a")
        assert caught.value.details["sent"] is False
        assert server.asked == []

        def prove(ours: ssl.SSLContext) -> None:
            ours.load_cert_chain(authority, tmp_path / "key.pem")

        assert vault.client("root", prove=prove).read("a") == {}


def test_a_proof_that_is_not_to_be_had_sends_nothing(secured: Server) -> None:
    def prove(_: ssl.SSLContext) -> None:
        raise IdentityUnavailable("no private key")

    vault = vault_at(secured.url, ca_file=str(secured.ca_file))
    with pytest.raises(IdentityUnavailable) as caught:
        vault.client("root", prove=prove).read("a")
    assert caught.value.details == {"sent": False}


def test_a_name_that_leads_nowhere(vault_server: Server, kv: str) -> None:
    vault = vault_at("https://vault.invalid", vault_server.url)
    assert _read(vault, vault_server.root.token, kv) == "of-the-tests"
    error = _error(ServerUnresolved, _whoami, vault_at("https://vault.invalid"), "root")
    assert "its name leads to no address" in error.message


def test_what_a_variable_says_does_not_matter(
    vault_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", vault_server.root.token)
    with pytest.raises(BackendRefused), translated("looking the token up"):
        vault_at(vault_server.url).client().auth.token.lookup_self()


def test_one_request_takes_little_time(vault_server: Server) -> None:
    vault, started = vault_at(vault_server.url), time.monotonic()
    for _ in range(20):
        _whoami(vault, vault_server.root.token)
    assert (time.monotonic() - started) / 20 < 0.1


def test_nothing_is_left_open(vault_server: Server) -> None:
    vault = vault_at(vault_server.url)
    _whoami(vault, vault_server.root.token)
    before = set(os.listdir("/dev/fd"))
    for _ in range(5):
        _whoami(vault, vault_server.root.token)
    assert len(set(os.listdir("/dev/fd"))) <= len(before)
