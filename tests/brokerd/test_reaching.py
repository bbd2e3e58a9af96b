"""Is a server found and connected to in time, whatever its name leads to?"""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from brokerd.lost import lost
from brokerd.reaching import reach
from brokershim.errors import ServerUnresolved

CONNECT = "brokerd.reaching.socket.create_connection"
LOOK_UP = "brokerd.reaching.socket.getaddrinfo"


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, float]]:
    """Let a name lead to two addresses that do not answer; what is tried, and for how long."""
    tried: list[tuple[Any, float]] = []

    def connect(address: Any, timeout: float) -> socket.socket:
        tried.append((address[0], timeout))
        raise TimeoutError

    found = [(None, None, None, "", (f"192.0.2.{number}", 1)) for number in (1, 2)]
    monkeypatch.setattr(LOOK_UP, lambda *_, **__: found)
    monkeypatch.setattr(CONNECT, connect)
    return tried


def test_a_name_leads_to_a_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        reached = reach(("localhost", server.getsockname()[1]), 5, 5)
        with reached:
            assert reached.getpeername() == server.getsockname()


def test_each_address_has_its_share_of_the_time(two: list[tuple[Any, float]]) -> None:
    with pytest.raises(TimeoutError):
        reach(("vault.example", 1), 5, 6)
    assert [address for address, _ in two] == ["192.0.2.1", "192.0.2.2"]
    assert two[0][1] == pytest.approx(3, abs=0.5)
    assert two[1][1] == 5  # the first took none of it


def test_none_is_tried_when_it_is_over(two: list[tuple[Any, float]]) -> None:
    with pytest.raises(TimeoutError):
        reach(("vault.example", 1), 5, 0)
    assert two == []


def test_a_name_server_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()
    monkeypatch.setattr(LOOK_UP, lambda *_, **__: [()][over.wait(30) :])
    started = time.monotonic()
    with pytest.raises(socket.gaierror) as caught:
        reach(("vault.example", 1), 5, 0.1)
    over.set()
    assert time.monotonic() - started < 5
    assert isinstance(lost("a", "a", caught.value, sent=False).error, ServerUnresolved)


@pytest.mark.parametrize("name", ["a..b", "a" * 64 + ".example", "no-such-name.invalid"])
def test_a_name_that_is_none_leads_nowhere(name: str) -> None:
    with pytest.raises(socket.gaierror):
        reach((name, 443), 5, 10)
