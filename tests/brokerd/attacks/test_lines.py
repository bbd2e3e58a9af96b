"""What no well-behaved client sends. After each, another client is served as if nothing was."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from brokershim.wire import MAX_LINE
from tests.support.bystander import Bystander
from tests.support.daemon import Daemon
from tests.support.raw import HELLO, Raw, request


def _line(**fields: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 7, "method": "daemon.status", **fields}).encode()


_MALFORMED = {
    "nothing": b"",
    "text": b"hello daemon",
    "half an object": b'{"jsonrpc":"2.0","id":7,',
    "binary": bytes(range(1, 10)) + bytes(range(11, 256)),
    "zeros": b"\0" * 100,
    "not utf-8": b'{"jsonrpc":"2.0","id":7,"method":"\xff"}',
    "utf-16": '{"jsonrpc":"2.0","id":7,"method":"daemon.status"}'.encode("utf-16-be"),
    "a byte order mark": b"\xef\xbb\xbf" + _line(),
    "an array": b"[" + _line() + b"]",
    "an empty array": b"[]",
    "a text": b'"daemon.status"',
    "a number": b"7",
    "null": b"null",
    "two objects": _line() + _line(),
    "a trailing comma": b'{"jsonrpc":"2.0","id":7,"method":"daemon.status",}',
    "a key twice": b'{"jsonrpc":"2.0","id":7,"method":"daemon.stop","method":"daemon.status"}',
    "a deep key twice": _line(params=0)[:-2] + b'{"a":1,"a":2}}',
    "not a number": _line(params=0)[:-2] + b"NaN}",
    "infinity": _line(params=0)[:-2] + b"-Infinity}",
    "half a surrogate pair": _line(method="\ud800"),
    "half a surrogate pair in a key": b'{"\\udc00":1,"jsonrpc":"2.0","id":7,"method":"x"}',
    "deep nesting": b"[" * 60_000,
    "deep nesting inside": b'{"a":' * 10_000,
    "a number without end": b'{"jsonrpc":"2.0","id":' + b"9" * 60_000 + b"}",
}


@pytest.mark.parametrize("what", _MALFORMED)
def test_what_is_not_one_object_is_answered_and_the_connection_goes_on(
    daemon: Daemon, what: str
) -> None:
    with Raw(daemon.world.socket) as raw:
        raw.send(_MALFORMED[what] + b"\n")
        error = raw.reply()
        assert error["id"] is None
        assert error["error"]["data"]["kind"] == "bad_request.malformed"
        raw.send(request("daemon.status", 8))
        assert raw.reply()["id"] == 8


_BROKEN = {
    "no version": (b'{"id":7,"method":"daemon.status"}', 7),
    "version 1": (_line(jsonrpc="1.0"), 7),
    "a version that is a number": (_line(jsonrpc=2.0), 7),
    "an unknown field": (_line(extra=1), 7),
    "a result": (_line(result={}), 7),
    "no id": (b'{"jsonrpc":"2.0","method":"daemon.status"}', None),
    "a null id": (_line(id=None), None),
    "true for an id": (_line(id=True), None),
    "a fraction for an id": (_line(id=1.5), None),
    "a list for an id": (_line(id=[1]), None),
    "a huge id": (_line(id=2**53), None),
    "a huge negative id": (_line(id=-(2**53)), None),
    "an id of a thousand digits": (_line(id=10**1000), None),
    "a long text for an id": (_line(id="x" * 65), None),
    "no method": (b'{"jsonrpc":"2.0","id":7}', 7),
    "a method that is a number": (_line(method=5), 7),
    "params in a list": (_line(params=["openai/dev"]), 7),
    "params that are text": (_line(params="openai/dev"), 7),
    "params that are null": (_line(params=None), 7),
}


@pytest.mark.parametrize("what", _BROKEN)
def test_what_is_no_request_is_answered_under_its_id(daemon: Daemon, what: str) -> None:
    line, number = _BROKEN[what]
    with Raw(daemon.world.socket) as raw:
        raw.send(line + b"\n" + request("daemon.status", "after"))
        found = [raw.reply(), raw.reply()]
        assert found[0]["id"] == number
        assert found[0]["error"]["data"]["kind"] == "bad_request"
        assert found[1]["id"] == "after"


_GREETINGS = {
    "none": (request("daemon.status"), "bad_request.protocol"),
    "an older version": (request("hello", protocol=0), "bad_request.protocol"),
    "a newer version": (request("hello", protocol=2), "bad_request.protocol"),
    "true for a version": (request("hello", protocol=True), "bad_request.protocol"),
    "text for a version": (request("hello", protocol="1"), "bad_request.protocol"),
    "no version": (request("hello", client="x"), "bad_request.protocol"),
    "an unknown parameter": (request("hello", protocol=1, admin=True), "bad_request.protocol"),
    "no json": (b"GET / HTTP/1.1\n", "bad_request.malformed"),
    "a batch": (b"[" + HELLO.strip() + b"]\n", "bad_request.malformed"),
    "a broken request": (_line(extra=1) + b"\n", "bad_request"),
}


@pytest.mark.parametrize("what", _GREETINGS)
def test_without_a_greeting_nothing_is_done_and_the_connection_closes(
    daemon: Daemon, what: str
) -> None:
    line, kind = _GREETINGS[what]
    with Raw(daemon.world.socket, greeted=False) as raw:
        raw.send(line + request("daemon.stop"))
        assert raw.kind() == kind
        assert raw.reply() == {}
    assert daemon.process.poll() is None


def test_a_wrong_version_is_told_which_is_right(daemon: Daemon) -> None:
    with Raw(daemon.world.socket, greeted=False) as raw:
        raw.send(request("hello", protocol=2))
        assert raw.reply()["error"]["data"]["supported"] == [1]


@pytest.mark.parametrize("ended", [b"", b"\n"])
def test_a_line_too_long_closes_its_connection(daemon: Daemon, ended: bytes) -> None:
    with Raw(daemon.world.socket) as raw:
        raw.send(b"x" * MAX_LINE + ended)
        assert raw.kind() == "bad_request.limit"
        assert raw.reply() == {}


def test_the_longest_line_is_read(daemon: Daemon) -> None:
    line = request("lease.revoke", lease="")
    with Raw(daemon.world.socket) as raw:
        raw.send(request("lease.revoke", lease="x" * (MAX_LINE - len(line))))
        assert raw.kind() == "not_found.lease"


def test_a_request_may_come_byte_by_byte(daemon: Daemon) -> None:
    with Raw(daemon.world.socket) as raw:
        for byte in request("daemon.status"):
            raw.send(bytes([byte]))
        assert raw.reply()["result"]["pid"] == daemon.pid


def test_half_a_line_and_then_nothing_harms_nobody(daemon: Daemon, bystander: Bystander) -> None:
    with Raw(daemon.world.socket) as raw:
        raw.send(request("daemon.status")[:20])
        bystander.is_served_at_once()


def test_half_a_line_and_then_the_end_is_not_carried_out(daemon: Daemon) -> None:
    with Raw(daemon.world.socket) as raw:
        raw.send(request("daemon.stop")[:-1])
        raw.socket.shutdown(socket.SHUT_WR)
        assert raw.is_over()
    assert daemon.process.poll() is None
