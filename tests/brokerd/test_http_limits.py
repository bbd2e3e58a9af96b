"""What does a server get away with, that drips, floods, hangs or cannot prove who it is?"""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from brokerd import http, roundtrip
from brokershim.errors import BackendTimeout, BackendUnavailable, ServerDown
from tests.support.bare_server import BareServer
from tests.support.certificate import self_signed

SECONDS = 0.4
FORM = {"assertion": "an-assertion-that-nobody-may-see"}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take no pause between tries."""
    monkeypatch.setattr("brokerd.http.time.sleep", lambda _: None)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all of it take little time."""
    monkeypatch.setattr(roundtrip, "TOTAL_SECONDS", SECONDS)


def _error(url: str) -> BackendUnavailable:
    with pytest.raises(BackendUnavailable) as caught:
        http.post_form(url, FORM)
    assert FORM["assertion"] not in repr(caught.value)
    assert caught.value.__context__ is None
    return caught.value


def _drip(first: bytes, drop: bytes) -> BareServer:
    def talk(talking: socket.socket) -> None:
        for part in itertools.chain([first], itertools.repeat(drop)):
            talking.sendall(part)
            if server.over.wait(0.02):
                return

    server = BareServer(talk)
    return server


HEADERS = b"HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"", b""),
        (b"HTTP/1.1 2", b"0"),
        (b"HTTP/1.1 200 OK\r\n", b"x"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (HEADERS, b"{"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\n{\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    ],
    ids=["nothing", "status", "header", "continue", "body", "chunks", "endless"],
)
@pytest.mark.usefixtures("soon")
def test_a_drip_is_over_in_time(first: bytes, drop: bytes) -> None:
    with _drip(first, drop) as server:
        started = time.monotonic()
        error = _error(server.url)
        assert SECONDS <= time.monotonic() - started < SECONDS + 5
        assert isinstance(error, BackendTimeout)
        assert error.details == {"sent": True, "temporary": True}
        assert server.connections == 1


@pytest.mark.usefixtures("soon")
def test_what_took_too_long_is_not_asked_for_again() -> None:
    with _drip(HEADERS, b"{") as server:
        with pytest.raises(BackendTimeout):
            http.get(server.url)
        assert server.connections == 1


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://[::1]/", "::1", 443),
        ("http://[::1]/", "::1", 80),
        ("http://[::1]:8080/", "::1", 8080),
        ("https://a.example:1/", "a.example", 1),
    ],
)
def test_an_address_is_not_taken_for_a_port(url: str, host: str, port: int) -> None:
    made = roundtrip.RoundTrip("GET", url, {}, None)
    with socket.socket() as unused:
        connection = made._plain(unused)
    assert made._address == (connection.host, connection.port) == (host, port)


@pytest.mark.parametrize("headers", [b"content-length: 10485760\r\n", b""], ids=["said", "unsaid"])
def test_a_flood_is_cut_off(headers: bytes) -> None:
    def talk(talking: socket.socket) -> None:
        talking.sendall(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n")
        talking.sendall(b"a" * (10 * 1024 * 1024))

    with BareServer(talk) as server:
        error = _error(server.url)
    assert "more than 1048576 bytes" in error.message
    assert isinstance(error, ServerDown)
    assert error.details == {"sent": True, "temporary": False}


def test_a_chunk_of_less_than_nothing_is_not_all_there_is() -> None:
    """It would be read to its end, which never comes, into memory."""
    sent: list[int] = []

    def talk(talking: socket.socket) -> None:
        talking.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n")
        for _ in range(256):
            talking.sendall(b"a" * 1024 * 1024)
            sent.append(1024 * 1024)

    with BareServer(talk) as server:
        assert isinstance(_error(server.url), ServerDown)
    assert sum(sent) < 16 * 1024 * 1024


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1",
        b"an-assertion-that-nobody-may-see\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 twohundred OK\r\n\r\n",
    ],
)
def test_nonsense_is_no_answer(said: bytes) -> None:
    with BareServer(lambda talking: talking.sendall(said)) as server:
        error = _error(server.url)
        assert "breaks off" in error.message
        assert server.connections == 1


def test_each_request_has_a_connection_of_its_own() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    with BareServer(lambda talking: talking.sendall(answer)) as server:
        for _ in range(2):
            assert http.post_form(server.url, FORM).status == 200
        assert server.connections == 2
        assert all(b"connection: close" in each for each in server.asked)


Make = Callable[..., BareServer]


@pytest.fixture
def secured(tmp_path: Path) -> Make:
    """Make a server that presents a certificate for these names; its file is certificate.pem."""

    def make(*names: str) -> BareServer:
        context, _ = self_signed(tmp_path, *names)
        answer = b'HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{"a":1}'
        return BareServer(lambda talking: talking.sendall(answer), context)

    return make


def test_a_certificate_of_nobody_known_is_refused_before_anything_is_sent(secured: Make) -> None:
    with secured("127.0.0.1") as server:
        error = _error(server.url)
        assert "cannot prove that it is 127.0.0.1" in error.message
        assert error.details == {"sent": False, "temporary": False}
        assert server.asked == []
        assert server.connections == 1  # it will not have a better one


def test_a_certificate_for_another_name_is_refused(
    secured: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with secured("api.example.com", "127.0.0.2") as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        assert "cannot prove" in _error(server.url).message
        assert server.asked == []


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_certificate_that_is_trusted_is_taken(
    secured: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with secured(name) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        url = server.url.replace("127.0.0.1", name)
        assert http.post_form(url, FORM).document() == {"a": 1}


def test_no_variable_has_the_keys_of_a_connection_written_down(
    secured: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with secured("127.0.0.1") as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keylog"))
        assert http.post_form(server.url, FORM).status == 200
    assert not (tmp_path / "keylog").exists()


@pytest.mark.usefixtures("soon")
def test_no_handshake_lasts_for_ever() -> None:
    """A server that accepts and then says nothing, where TLS is expected."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = _error(f"https://127.0.0.1:{silent.getsockname()[1]}/")
    assert isinstance(error, BackendTimeout)
    assert error.details == {"sent": False, "temporary": True}
