"""What any program, or any web page, may try on the port that a login waits on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import pytest

from brokerd.identities.base import Standing
from brokerd.identities.oidc import loopback
from brokerd.identities.oidc.identity import OidcIdentity
from tests.brokerd.identities.oidc.conftest import ask, browse, waiting
from tests.support.issuer import OpenIdIssuer


class Waiting:
    """A login that waits, and what its person's browser will bring it."""

    def __init__(self, identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
        self.login = identity.login("browser")
        self.answer = issuer.consent(self.login.url)
        self.netloc = urlsplit(self.answer).netloc
        self.outcome: Future[Standing] = waiting(self.login)

    def connect(self) -> socket.socket:
        host, _, port = self.netloc.partition(":")
        return socket.create_connection((host, int(port)), timeout=10)

    def raw(self, request: str) -> bytes:
        """Send bytes of one's own; return all that comes back."""
        with self.connect() as connection:
            connection.sendall(request.encode())
            return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def started(identity: OidcIdentity, issuer: OpenIdIssuer) -> Iterator[Waiting]:
    """Whatever is tried, the login then goes on as if nothing had been."""
    found = Waiting(identity, issuer)
    yield found
    assert browse(found.answer).path == "/signed-in"
    assert found.outcome.result(10).state == "ready"


@pytest.mark.parametrize("host", ["localhost", "evil.example", "127.0.0.1", "127.0.0.1:1"])
def test_a_name_that_only_leads_here_is_refused(started: Waiting, host: str) -> None:
    assert ask(started.answer, Host=host).status == 421


def test_two_hosts_are_none(started: Waiting) -> None:
    own = f"Host: {started.netloc}\r\n"
    answer = started.raw(f"GET /callback HTTP/1.1\r\n{own}Host: evil.example\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "PUT"])
def test_only_a_look_is_allowed(started: Waiting, method: str) -> None:
    assert ask(started.answer, method).status == 405


@pytest.mark.parametrize(
    "line", ["", "GET", "GET /callback", "GET http://x/ HTTP/1.1", "GET  / HTTP/1.1", "\0\xff"]
)
def test_what_is_no_request_is_refused(started: Waiting, line: str) -> None:
    answer = started.raw(f"{line}\r\nHost: {started.netloc}\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("query", ["state=a&state=b", "&".join("a=b" for _ in range(17)), "a=%ff"])
def test_a_query_that_says_two_things_says_nothing(started: Waiting, query: str) -> None:
    assert ask(f"http://{started.netloc}/callback?{query}").status == 400


def test_a_second_code_beside_the_first_is_neither(started: Waiting) -> None:
    assert ask(f"{started.answer}&code=another").status == 400


def test_other_paths_lead_nowhere(started: Waiting) -> None:
    for path in ("/", "/favicon.ico", "/signed-in", "/failed", "/callback/"):
        assert ask(f"http://{started.netloc}{path}").status == 404


def test_a_request_that_is_too_long_is_not_read(
    started: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(loopback, "SECONDS", 60.0)
        with started.connect() as connection:
            with suppress(ConnectionError):  # hung up on in the middle
                connection.sendall(b"a" * 2 * loopback.HEAD_BYTES)
            assert _ended(connection)


def _ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_connections_that_stall_hold_up_nobody(
    started: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, ExitStack() as stack:
        patch.setattr(loopback, "SECONDS", 60.0)
        stalled = [stack.enter_context(started.connect()) for _ in range(2 * loopback.CONNECTIONS)]
        for each in stalled:
            each.sendall(b"GET /cal")
        assert ask(f"http://{started.netloc}/").status == 404
        assert all(_ended(each) for each in stalled[: loopback.CONNECTIONS])


def test_a_connection_that_stalls_is_closed(
    started: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(loopback, "SECONDS", 0.0)
        with started.connect() as connection:
            assert _ended(connection)


def test_nobody_else_gets_who_looks_for_localhost_at_another_address() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:  # no gap, even in CI: nobody can wait there
        pytest.skip("this machine has no ::1")
    waiting_there = loopback.Loopback(0, "localhost")
    theirs = socket.socket(socket.AF_INET6)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with theirs:
        with pytest.raises(OSError, match="in use"):
            theirs.bind(("::1", waiting_there.port))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("::1", waiting_there.port), timeout=5)
        with socket.create_connection(("localhost", waiting_there.port), timeout=5):
            pass
        waiting_there.close()
        theirs.bind(("::1", waiting_there.port))
        with pytest.raises(OSError, match="in use"):
            loopback.Loopback(waiting_there.port, "localhost")
    loopback.Loopback(waiting_there.port, "localhost").close()  # and nothing was left open
