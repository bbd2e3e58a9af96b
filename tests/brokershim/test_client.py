"""One connection to a daemon that answers, errs, pushes, stalls, babbles or dies."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from brokershim import wire
from brokershim.client import Client, Notify
from brokershim.errors import (
    BrokerError,
    DaemonUnreachable,
    InsecurePath,
    LeaseNotFound,
    LimitExceeded,
    MalformedRequest,
    WrongProtocol,
)
from tests.support.fakebroker import Entry, FakeBroker

HELLO = wire.encode_result(0, {"protocol": 1, "server": "test/1"})


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[FakeBroker]:
    with FakeBroker(tmp_path) as made:
        made.secrets["openai/dev"] = Entry("sk-test-0123456789")
        yield made


@contextlib.contextmanager
def saying(tmp_path: Path, *lines: bytes) -> Generator[str]:
    """Listen, take one request, say some lines whatever it was, and hang up at the end."""
    tmp_path.chmod(0o700)
    path = str(tmp_path / "broker.sock")
    done = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            for line in lines:
                connection.sendall(line)
            done.wait(10)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield path
        finally:
            done.set()
            thread.join()


def test_call_returns_the_result(broker: FakeBroker) -> None:
    client = Client(broker.path)
    assert client.call("lease.acquire", secret="openai/dev")["value"] == "sk-test-0123456789"
    assert client.call("lease.acquire", secret="openai/dev")["lease"] == "lease-2"
    assert broker.greeted == 1
    client.close()
    assert client.fileno() == -1


def test_refusal_is_raised_as_its_class(broker: FakeBroker) -> None:
    client = Client(broker.path)
    with pytest.raises(LeaseNotFound, match="no such lease") as refused:
        client.call("lease.renew", lease="x")
    assert refused.value.hint == LeaseNotFound.hint
    client.close()


def test_nothing_listens(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with pytest.raises(DaemonUnreachable, match="no daemon listens"):
        Client(str(tmp_path / "broker.sock"))
    with pytest.raises(DaemonUnreachable):
        Client(str(tmp_path / "no" / "broker.sock"))


def test_socket_in_a_folder_open_to_others_is_not_spoken_to(broker: FakeBroker) -> None:
    os.chmod(os.path.dirname(broker.path), 0o755)
    with pytest.raises(InsecurePath):
        Client(broker.path)
    assert broker.greeted == 0


def test_socket_with_a_long_path_is_reached(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 60) / ("y" * 60)
    folder.mkdir(parents=True)
    here = os.getcwd()
    os.chdir(folder)
    try:
        with FakeBroker(Path()) as broker:
            client = Client(str(folder / "broker.sock"))
            with pytest.raises(BrokerError):
                client.call("lease.acquire", secret="none/such")
            client.close()
            assert broker.greeted == 1
    finally:
        os.chdir(here)


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        ([b"garbage\n"], MalformedRequest),
        ([HELLO, b'{"jsonrpc":"2.0","id":1,"result":"text"}\n'], MalformedRequest),
        ([HELLO, b"x" * 70_000], LimitExceeded),
        ([wire.encode_error(0, WrongProtocol("other version"))], WrongProtocol),
        ([HELLO, wire.encode_error(None, MalformedRequest("what?"))], MalformedRequest),
        ([HELLO, b'{"jsonrpc":"2.0","id":1,"error":"text"}\n'], BrokerError),
        (
            [HELLO, b'{"jsonrpc":"2.0","id":1,"error":{"data":{"kind":"of.the.future"}}}\n'],
            BrokerError,
        ),
    ],
)
def test_daemon_that_babbles_is_one_clear_error(
    tmp_path: Path, lines: list[bytes], error: type[BrokerError]
) -> None:
    with saying(tmp_path, *lines) as path:
        client = Client(path, timeout=5)
        with pytest.raises(error) as raised:
            client.call("lease.acquire", secret="openai/dev")
        client.close()
    assert type(raised.value) is error


def test_reply_to_another_call_is_passed_over(tmp_path: Path) -> None:
    other, ours = wire.encode_result(99, {"x": 1}), wire.encode_result(1, {"x": 2})
    with saying(tmp_path, HELLO, other, ours) as path:
        client = Client(path, timeout=5)
        assert client.call("m") == {"x": 2}
        client.close()


def test_reply_in_small_pieces_is_put_together(tmp_path: Path) -> None:
    stream = HELLO + wire.encode_result(1, {"x": "y" * 1000})
    with saying(tmp_path, *(stream[i : i + 7] for i in range(0, len(stream), 7))) as path:
        client = Client(path, timeout=5)
        assert client.call("m") == {"x": "y" * 1000}
        client.close()


def test_daemon_that_does_not_answer_is_given_up_and_the_connection_closed(
    broker: FakeBroker,
) -> None:
    broker.hold.clear()
    client = Client(broker.path, timeout=0.05)
    with pytest.raises(DaemonUnreachable, match="no reply"):
        client.call("lease.acquire", secret="openai/dev")
    assert client.fileno() == -1, "a late reply must not be taken for the next call's"


def test_daemon_that_dies_is_unreachable(broker: FakeBroker) -> None:
    client = Client(broker.path)
    client.call("lease.acquire", secret="openai/dev")
    broker.close()
    with pytest.raises(DaemonUnreachable):
        client.call("lease.acquire", secret="openai/dev")
    assert client.fileno() == -1


def test_why_the_daemon_closed_is_told(tmp_path: Path) -> None:
    refusal = wire.encode_error(None, LimitExceeded("too many connections"))
    with saying(tmp_path, refusal) as path:
        client = Client(path, timeout=5)
        with pytest.raises(LimitExceeded, match="too many"):
            client.call("m")
        client.close()


Seen = list[tuple[str, dict[str, Any]]]


def notifications() -> tuple[Seen, Notify]:
    seen: Seen = []
    return seen, lambda method, params: seen.append((method, params))


def test_push_is_handed_on_by_a_call(tmp_path: Path) -> None:
    push = wire.encode_notification("lease.revoked", {"lease": "l"})
    seen, notify = notifications()
    with saying(tmp_path, HELLO, push, wire.encode_result(1, {})) as path:
        client = Client(path, timeout=5, notify=notify)
        client.call("m")
        client.close()
    assert seen == [("lease.revoked", {"lease": "l"})]


def test_drain_takes_in_what_was_pushed_and_does_not_wait(broker: FakeBroker) -> None:
    seen, notify = notifications()
    client = Client(broker.path, timeout=5, notify=notify)
    client.call("lease.acquire", secret="openai/dev")
    client.drain()
    assert seen == []
    broker.push("lease.revoked", lease="lease-1")
    broker.push("secret.rotated", lease="lease-2")
    client.drain()
    assert seen == [
        ("lease.revoked", {"lease": "lease-1"}),
        ("secret.rotated", {"lease": "lease-2"}),
    ]
    assert client.call("lease.acquire", secret="openai/dev")["lease"] == "lease-2"
    client.close()


def test_drain_says_that_the_daemon_is_gone(broker: FakeBroker) -> None:
    client = Client(broker.path)
    client.call("lease.acquire", secret="openai/dev")
    broker.close()
    with pytest.raises(DaemonUnreachable):
        client.drain()
