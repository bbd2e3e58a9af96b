"""What no well-behaved client sends. After each, another client is served as if nothing was."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brokerd.connection import MAX_FAULTS
from brokerd.server import MAX_CONNECTIONS, MAX_PER_PROCESS
from brokershim.errors import BrokerError, ForeignUser
from brokershim.wire import MAX_LINE
from tests.support.daemon import (
    PLAIN_UID,
    Daemon,
    new_world,
    plain_python,
    started,
    wait_until,
)
from tests.support.puppet import Puppet, Stage
from tests.support.raw import HELLO, Raw, request
from tests.support.require import require_linux, require_root

_AT_ONCE = 1.0  # seconds that a well-behaved client may have to wait
_MORE_MEMORY = 24 * 1024 * 1024


class Bystander:
    """A well-behaved client in a process of its own."""

    def __init__(self, daemon: Daemon, puppet: Puppet) -> None:
        self.daemon = daemon
        self._puppet = puppet

    def call(self, method: str) -> dict[str, Any]:
        """Call a method on a new connection."""
        try:
            return self._puppet.call(method)
        finally:
            self._puppet.do("hang_up()")

    def is_served_at_once(self) -> None:
        began = time.monotonic()
        assert [each["name"] for each in self.call("secret.list")["secrets"]] == ["openai/dev"]
        assert time.monotonic() - began < _AT_ONCE

    def others(self) -> int:
        """Return how many others are connected."""
        return int(self.call("daemon.status")["connections"]) - 1


@pytest.fixture(scope="module")
def bystander() -> Iterator[Bystander]:
    """Run one daemon for all of this: it has to outlive everything, and to be as it was before."""
    with new_world() as world, started(world) as running, Stage(world) as stage:
        running.set_secret()
        found = Bystander(running, stage.enter())
        found.is_served_at_once()
        yield found


@pytest.fixture
def daemon(bystander: Bystander) -> Iterator[Daemon]:
    running = bystander.daemon
    descriptors, memory = _descriptors(running), running.memory()
    yield running
    bystander.is_served_at_once()
    wait_until(lambda: bystander.others() == 0)
    wait_until(lambda: _descriptors(running) <= descriptors)
    assert running.memory() - memory < _MORE_MEMORY


def _descriptors(daemon: Daemon) -> int:
    """Return how many files the daemon has open: only root may look, and only Linux shows it."""
    can_look = sys.platform == "linux" and os.geteuid() == 0
    return daemon.descriptors() if can_look else 0


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


_PARAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "a missing one": ("lease.acquire", {}),
    "an unknown one": ("daemon.status", {"verbose": True}),
    "a misspelt one": ("lease.revoke", {"lesae": "x"}),
    "one of the daemon's own": ("daemon.status", {"caller": "me"}),
    "self": ("daemon.status", {"self": 1}),
    "a number for text": ("lease.acquire", {"secret": 5}),
    "null for text": ("lease.acquire", {"secret": None}),
    "a list for text": ("lease.acquire", {"secret": ["openai/dev"]}),
    "true for a number": ("lease.report", {"lease": "x", "status": True}),
    "text for a number": ("lease.report", {"lease": "x", "status": "401"}),
    "a fraction for a whole number": ("lease.report", {"lease": "x", "status": 401.0}),
    "true for seconds": ("secret.set", {"name": "openai/dev", "max_ttl": True}),
    "a number of seconds with 400 digits": ("secret.set", {"name": "a", "max_ttl": 10**400}),
    "a number for a switch": ("lease.revoke", {"all": 1}),
    "text for a switch": ("lease.revoke", {"all": "true"}),
    "text for a list": ("secret.set", {"name": "openai/dev", "hosts": "api.openai.com"}),
    "a number in a list": ("secret.set", {"name": "openai/dev", "hosts": [1]}),
    "a list for an object": ("session.open", {"program": "/bin/true", "env": []}),
    "a number in an object": ("session.open", {"program": "/bin/true", "env": {"A": 1}}),
    "null in an object": ("session.open", {"program": "/bin/true", "env": {"A": None}}),
    "a zero byte in text": ("lease.acquire", {"secret": "openai/dev\0"}),
    "a zero byte in a path": ("project.show", {"path": "/tmp/\0"}),
    "a zero byte in a list": ("secret.set", {"name": "openai/dev", "hosts": ["a\0b"]}),
    "a zero byte in a name of an object": (
        "session.open",
        {"program": "/bin/true", "env": {"A\0": "openai/dev"}},
    ),
    "neither of two": ("lease.revoke", {}),
    "both of two": ("lease.revoke", {"lease": "x", "all": True}),
    "a status that means no refusal": ("lease.report", {"lease": "x", "status": 500}),
    "a place that no page named": ("lease.list", {"after": "-1"}),
    "a place in other digits": ("session.list", {"after": "٣"}),
    "a place of a thousand digits": ("lease.list", {"after": "9" * 1000}),
    "a relative program": ("session.open", {"program": "true", "env": {"A": "openai/dev"}}),
    "a relative script": (
        "session.open",
        {"program": "/bin/true", "script": "x.py", "env": {"A": "openai/dev"}},
    ),
}


@pytest.mark.parametrize("what", _PARAMS)
def test_a_parameter_that_does_not_fit_is_named_and_nothing_is_done(
    daemon: Daemon, what: str
) -> None:
    method, params = _PARAMS[what]
    events = len(daemon.world.events())
    with Raw(daemon.world.socket) as raw:
        raw.send(request(method, **params))
        assert raw.kind() == "bad_request.invalid_params"
    assert len(daemon.world.events()) == events


def test_more_seconds_than_there_are(daemon: Daemon) -> None:
    line = request("secret.set", name="openai/dev", max_ttl=0).replace(b'": 0', b'": 1e999')
    with Raw(daemon.world.socket) as raw:
        raw.send(line)
        assert raw.kind() == "bad_request.invalid_params"


_OTHERWISE: dict[str, tuple[str, dict[str, Any], str]] = {
    "no such method": ("lease.steal", {}, "bad_request.unknown_method"),
    "a method of Python's": ("__init__", {}, "bad_request.unknown_method"),
    "an empty method": ("", {}, "bad_request.unknown_method"),
    "a second hello": ("hello", {"protocol": 1}, "bad_request.unknown_method"),
    "a name that is none": ("lease.acquire", {"secret": "OpenAI/Dev"}, "usage"),
    "a path for a name": ("secret.show", {"name": "../../etc/passwd"}, "usage"),
    "a name with a line end": ("secret.show", {"name": "openai/dev\n"}, "usage"),
    "a secret that is not there": ("secret.show", {"name": "openai/none"}, "not_found.secret"),
    "a lease that is not there": ("lease.revoke", {"lease": "x" * 60_000}, "not_found.lease"),
    "a lease of nobody": ("lease.release", {"lease": "x"}, "not_found.lease"),
    "a session of nobody": ("session.approve", {"session": "x", "secrets": []}, "not_found"),
    "no session": ("lease.acquire", {"secret": "openai/dev"}, "denied.no_session"),
    "a session's label alone": (
        "lease.acquire",
        {"secret": "openai/dev", "session": "deadbeef"},
        "denied.no_session",
    ),
    "a project that is not there": (
        "project.show",
        {"path": "/x/broker.toml"},
        "not_found.project_file",
    ),
    "a project with a relative path": ("project.show", {"path": "broker.toml"}, "usage"),
    "a project with a name too long": (
        "project.show",
        {"path": "/" + "x" * 5000 + "/y"},
        "usage.config",
    ),
    "a project with a name too long to say": (
        "project.show",
        {"path": "/" + "漢" * 15_000 + "/y"},
        "bad_request.limit",
    ),
    "a version that is no number": (
        "secret.rollback",
        {"name": "openai/dev", "version": "²"},
        "usage",
    ),
    "a version of 5000 digits": (
        "secret.rollback",
        {"name": "openai/dev", "version": "9" * 5000},
        "usage",
    ),
    "no secrets": ("session.open", {"program": "/bin/true", "env": {}}, "usage"),
    "too many secrets": (
        "session.open",
        {"program": "/bin/true", "env": {f"V{n}": "openai/dev" for n in range(65)}},
        "usage",
    ),
    "a variable that steers the loader": (
        "session.open",
        {"program": "/bin/true", "env": {"LD_PRELOAD": "openai/dev"}},
        "usage",
    ),
    "a program with a path too long": (
        "session.open",
        {"program": "/" + "x" * 60_000, "env": {"A": "openai/dev"}},
        "bad_request.invalid_params",
    ),
}


@pytest.mark.parametrize("what", _OTHERWISE)
def test_what_cannot_be_done_is_answered_with_its_own_kind(daemon: Daemon, what: str) -> None:
    method, params, kind = _OTHERWISE[what]
    with Raw(daemon.world.socket) as raw:
        raw.send(request(method, **params))
        assert raw.kind() == kind


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


def test_ten_thousand_tiny_lines(daemon: Daemon) -> None:
    with Raw(daemon.world.socket) as raw:
        raw.send(b"\n" * 10_000)
        kinds = [raw.kind() for _ in range(MAX_FAULTS)]
        assert set(kinds) == {"bad_request.malformed"}
        assert raw.kind() == "bad_request.limit"
        assert raw.is_over()


def test_ten_thousand_requests_at_once(daemon: Daemon) -> None:
    with Raw(daemon.world.socket) as raw:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it soon had enough
            raw.send(b"".join(request("daemon.status", n) for n in range(10_000)))
        assert raw.is_over()


def test_ten_thousand_requests_one_after_the_other(daemon: Daemon) -> None:
    with Raw(daemon.world.socket) as raw:
        for n in range(10_000):
            raw.send(request("nothing", n))
            assert raw.reply()["id"] == n


def test_a_thousand_connections_from_one_process(daemon: Daemon) -> None:
    served: list[Raw] = []
    refused = 0
    for _ in range(1000):
        raw = Raw(daemon.world.socket, greeted=False)
        if len(served) < MAX_PER_PROCESS:
            raw.send(HELLO)
            assert raw.reply()["result"]
            served.append(raw)
        else:
            assert raw.kind() == "bad_request.limit"
            assert raw.reply() == {}
            raw.close()
            refused += 1
    for n, raw in enumerate(served):
        raw.send(request("daemon.status", n))
        assert raw.reply()["id"] == n
        raw.close()
    assert (len(served), refused) == (MAX_PER_PROCESS, 1000 - MAX_PER_PROCESS)


_CROWD = """
import os, socket, sys
path, processes, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
hello = b'{"jsonrpc":"2.0","id":0,"method":"hello","params":{"protocol":1}}\\n'
for _ in range(processes):
    reader, writer = os.pipe()
    if os.fork() == 0:
        found = []
        for _ in range(each):
            found.append(socket.socket(socket.AF_UNIX))
            found[-1].connect(path)
            found[-1].sendall(hello)
            found[-1].recv(1000)
        os.write(writer, b"x")
        sys.stdin.read()
        os._exit(0)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
print("all", flush=True)
sys.stdin.read()
"""


def test_more_connections_than_there_is_room_for_from_many_processes(
    daemon: Daemon, bystander: Bystander
) -> None:
    processes = MAX_CONNECTIONS // MAX_PER_PROCESS + 3
    with subprocess.Popen(
        [sys.executable, "-c", _CROWD, daemon.world.socket, str(processes), str(MAX_PER_PROCESS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as crowd:
        assert crowd.stdin is not None
        assert crowd.stdout is not None
        assert crowd.stdout.readline() == b"all\n"
        assert MAX_CONNECTIONS - MAX_PER_PROCESS < bystander.others() < MAX_CONNECTIONS
        bystander.is_served_at_once()
        crowd.stdin.close()


def test_connections_that_only_come_and_go(daemon: Daemon) -> None:
    for n in range(500):
        raw = socket.socket(socket.AF_UNIX)
        raw.connect(daemon.world.socket)
        if n % 3 == 0:
            raw.send(HELLO[: n % len(HELLO)])
        if n % 5 == 0:  # the daemon's next write meets a reset connection
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.close()


def test_processes_that_only_come_and_go(daemon: Daemon) -> None:
    """They are gone before they are looked at, or while they are."""
    code = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); "
        "s.connect(sys.argv[1]); s.send(b'x')"
    )
    crowd = [
        subprocess.Popen([sys.executable, "-I", "-S", "-c", code, daemon.world.socket])
        for _ in range(30)
    ]
    for each in crowd:
        assert each.wait(10) == 0


def test_a_client_that_is_stopped_in_the_middle_harms_nobody(
    daemon: Daemon, bystander: Bystander
) -> None:
    code = (
        "import os, signal, socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.send(sys.argv[2].encode()[:50]); os.kill(os.getpid(), signal.SIGSTOP)"
    )
    command = [sys.executable, "-I", "-S", "-c", code, daemon.world.socket, HELLO.decode()]
    with subprocess.Popen(command) as client:
        stat = Path(f"/proc/{client.pid}/stat")
        wait_until(lambda: b") T " in stat.read_bytes())
        bystander.is_served_at_once()
        os.kill(client.pid, signal.SIGKILL)


def test_descriptors_sent_along_are_not_kept(daemon: Daemon) -> None:
    require_linux()
    reader, writer = os.pipe()
    with Raw(daemon.world.socket) as raw:
        for _ in range(50):
            socket.send_fds(raw.socket, [request("daemon.status")], [writer] * 200)
            assert raw.reply()["result"]["pid"] == daemon.pid
        os.close(writer)
        assert os.read(reader, 1) == b""  # nobody has the other end any more
    os.close(reader)


# A close with bytes unread is a reset (unix(7)); that these are unread is the point.
_READ_REST = """
try:
    rest = s.recv(1)
except ConnectionResetError:
    rest = b""
"""


def test_another_user_is_told_so_and_nothing_it_sends_is_read(daemon: Daemon) -> None:
    require_root()
    world, path = daemon.world, daemon.world.socket
    words = (HELLO + request("daemon.stop")).decode()
    loose = [world.root.parent, world.root, world.runtime.parent, world.runtime]
    before = [each.stat().st_mode & 0o777 for each in loose]
    for each in loose:  # as if every check of a path had failed
        each.chmod(0o755)
    os.chmod(world.socket, 0o666)
    try:
        with Stage(world) as stage:
            foreigner = stage.enter_as(PLAIN_UID, plain_python())
            foreigner.do("s = socket.socket(socket.AF_UNIX); s.connect(given['path'])", path=path)
            with contextlib.suppress(AssertionError):  # it may be refused before it has sent that
                foreigner.do("s.send(given['words'].encode())", words=words)
            reply = json.loads(str(foreigner.get("s.recv(65536).decode()")))
            assert reply["error"]["data"]["kind"] == ForeignUser.kind
            foreigner.do(_READ_REST)
            assert foreigner.get("rest == b''")
    finally:
        for each, mode in zip(loose, before, strict=True):
            each.chmod(mode)
        os.chmod(world.socket, 0o600)
    assert daemon.world.events("request.refused")[-1]["kind"] == ForeignUser.kind


@pytest.mark.parametrize("what", ["sk-" + "a" * 40, "sk-ant-" + "b" * 40, "0123456789abcdef" * 2])
def test_a_key_in_the_wrong_place_is_repeated_nowhere(daemon: Daemon, what: str) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("lease.acquire", {"secret": what}),
        ("secret.set", {"name": what, "value": "x"}),
        ("secret.set", {"name": "openai/dev", "value": what + "\n"}),
        ("secret.set", {"name": "openai/dev", "value": what + "é"}),
        ("session.open", {"program": "/bin/true", "env": {"A": what}}),
        ("secret.show", {"name": what}),
        ("store.unlock", {"passphrase": what}),
    ]
    for method, params in calls:
        with pytest.raises(BrokerError) as refused:
            daemon.call(method, **params)
        assert what not in json.dumps(refused.value.to_wire())
    assert what not in daemon.log
    assert what not in json.dumps(daemon.world.events())
