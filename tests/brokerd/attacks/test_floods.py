"""Too much of everything, and clients that are not there any more."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

from brokerd.connection import MAX_FAULTS
from brokerd.server import MAX_CONNECTIONS, MAX_PER_PROCESS
from brokershim.errors import ForeignUser
from tests.support.bystander import Bystander
from tests.support.daemon import PLAIN_UID, Daemon, plain_python, wait_until
from tests.support.puppet import Stage
from tests.support.raw import HELLO, Raw, request
from tests.support.require import require_linux, require_root


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
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(daemon.world.socket)
            if n % 3 == 0:
                with contextlib.suppress(BrokenPipeError):  # turned away as one too many
                    raw.send(HELLO[: n % len(HELLO)])
            if n % 5 == 0:  # the daemon's next write meets a reset connection
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


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
