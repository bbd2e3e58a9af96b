"""Is a request over in time, whatever hangs, drips or floods?"""

from __future__ import annotations

import socket
import time

import pytest

from brokerd.backends.vault import transport
from brokerd.blocking import DEADLINE_SECONDS
from brokerd.roundtrip import TOTAL_SECONDS
from brokershim.errors import (
    BackendTimeout,
    ServerDown,
)
from tests.support.bare_server import BareServer
from tests.support.provider import Answer, Asked, Provider
from tests.support.vault_client import (
    FOUND,
    SEALED,
    SECONDS,
    TOKEN,
    error_of,
    read,
    vault_at,
    write,
)

pytestmark = pytest.mark.usefixtures("at_once")


def test_a_login_and_a_request_are_over_before_nobody_waits_any_more() -> None:
    assert 2 * TOTAL_SECONDS < DEADLINE_SECONDS


def _longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave time for an answer, though the machine may be busy."""
    monkeypatch.setattr(transport, "TOTAL_SECONDS", 2 * SECONDS)


def test_one_that_hangs_leaves_the_next_its_time(
    hanging: BareServer, second: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    _longer(monkeypatch)
    started = time.monotonic()
    assert read(f"http://{hanging.host}", second.url)["data"]
    assert time.monotonic() - started < SECONDS + 5


def test_what_must_not_be_repeated_has_all_the_time_there_is(
    second: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    _longer(monkeypatch)

    def slowly(_: Asked) -> Answer:
        time.sleep(SECONDS)  # more than the share of one of four servers
        return FOUND

    second.reply = slowly
    assert write(second.url, *(f"http://127.0.0.1:{port}" for port in (1, 2, 3)))["data"]


def test_what_hangs_is_not_repeated_where_that_may_do_harm(
    hanging: BareServer, second: Provider
) -> None:
    vault = vault_at(f"http://{hanging.host}", second.url)
    with pytest.raises(BackendTimeout) as caught:
        vault.client(TOKEN).write_data("a", data={})
    assert caught.value.details["sent"] is True
    assert second.asked == []
    vault.client(TOKEN).write_data("a", data={})  # who asks next is served
    assert len(second.asked) == hanging.connections == 1


def test_a_handshake_that_hangs_sent_nothing(
    second: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    _longer(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert write(f"https://127.0.0.1:{silent.getsockname()[1]}", second.url)["data"]


def test_after_one_that_hangs_there_is_no_second_round(
    hanging: BareServer, second: Provider
) -> None:
    second.reply = lambda _: SEALED
    error = error_of(read, f"http://{hanging.host}", second.url)
    assert type(error) is ServerDown
    assert hanging.connections == len(second.asked) == 1


def test_all_that_hang_are_over_in_time(hanging: BareServer) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as plain,
        socket.create_server(("127.0.0.1", 0)) as tls,
    ):
        silent = [f"127.0.0.1:{each.getsockname()[1]}" for each in (plain, tls)]
        addresses = [f"http://{hanging.host}", f"http://{silent[0]}", f"https://{silent[1]}"]
        started = time.monotonic()
        error = error_of(read, *addresses)
        assert SECONDS - 0.3 < time.monotonic() - started < SECONDS + 5
    assert isinstance(error, BackendTimeout)
    assert error.details["servers"] == [hanging.host, *silent]
    assert all(host in error.message for host in error.details["servers"])
    assert hanging.connections == 1


def test_one_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TOTAL_SECONDS", SECONDS / 3)

    def drip(talking: socket.socket) -> None:
        talking.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 900000\r\n\r\n")
        while not server.over.wait(0.02):
            talking.sendall(b"{")

    with BareServer(drip) as server:
        assert isinstance(error_of(read, f"http://{server.host}"), BackendTimeout)


def test_ten_megabytes_are_no_answer() -> None:
    def flood(talking: socket.socket) -> None:
        talking.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10485760\r\n\r\n")
        talking.sendall(b"a" * (10 * 1024 * 1024))

    with BareServer(flood) as server:
        assert "more than 1048576 bytes" in error_of(read, f"http://{server.host}").message
