"""How long does a lease take, next to ssh-agent and to a socket that only answers?"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

from bench.figures import Figure, middle, spread
from bench.home import SECRET
from brokershim import wire
from brokershim.errors import from_wire
from demo.home import Home

ROUNDS, CALLS = 20, 100
_LIST = b"\0\0\0\1\x0b"  # SSH_AGENTC_REQUEST_IDENTITIES, draft-ietf-sshm-ssh-agent, section 3.5
_CHUNK = 65536


def measure(home: Home) -> list[Figure]:
    """Ask all three in turn, so that whatever else the machine does happens to all three."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        asks = {
            "lease": stack.enter_context(lease(home, SECRET)),
            "echo": stack.enter_context(_echo(os.path.join(folder, "echo"))),
        }
        if shutil.which("ssh-agent"):
            asks["agent"] = stack.enter_context(_agent(os.path.join(folder, "agent")))
        return _figures(asked_in_turn(asks))


def asked_in_turn(asks: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Ask each thing many times, a hundred times in a row; return the seconds of each."""
    times: dict[str, list[float]] = {name: [] for name in asks}
    for turn in range(ROUNDS + 1):
        for name, ask in asks.items():
            taken = [ask() for _ in range(CALLS)]
            if turn > 0:  # the first round only warms up
                times[name] += taken
    return times


def _figures(times: dict[str, list[float]]) -> list[Figure]:
    figures = [ratio("lease, to a bare asyncio echo", times, "echo", None)]
    if "agent" in times:
        figures.insert(0, ratio("lease, to ssh-agent's list", times, "agent", 4.0))
    return figures


def ratio(name: str, times: Mapping[str, list[float]], other: str, target: float | None) -> Figure:
    """Return how long a lease takes, to how long something else does."""
    both = f"{spread(times['lease'], 1e6, 'us')} to {spread(times[other], 1e6, 'us')}"
    return Figure(name, middle(times["lease"]) / middle(times[other]), "x", target, both)


@contextlib.contextmanager
def lease(home: Home, secret: str) -> Generator[Callable[[], float]]:
    """Become the root of a session, and yield what leases once; the release is not counted."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.path.join(home.root, "run", "brokerctl", "broker.sock"))
        session = {"program": sys.executable, "env": {"OPENAI_API_KEY": secret}}
        _call(connection, "hello", {"protocol": wire.PROTOCOL})
        _call(connection, "session.open", session)
        request = _request("lease.acquire", {"secret": secret})

        def ask() -> float:
            begun = time.perf_counter()
            connection.sendall(request)
            reply = connection.recv(_CHUNK)
            taken = time.perf_counter() - begun
            _call(connection, "lease.release", {"lease": wire.decode(reply)["result"]["lease"]})
            return taken

        yield ask


def _call(connection: socket.socket, method: str, params: dict[str, Any]) -> None:
    connection.sendall(_request(method, params))
    reply = wire.decode(connection.recv(_CHUNK))
    if "error" in reply:
        raise from_wire(reply["error"])


def _request(method: str, params: dict[str, Any]) -> bytes:
    return wire.encode_request(wire.Request(1, method, params))


@contextlib.contextmanager
def _agent(path: str) -> Generator[Callable[[], float]]:
    """Start an ssh-agent of our own, and yield what lists its keys once."""
    with _served(["ssh-agent", "-D", "-a", path], path) as connection:
        yield lambda: round_trip(connection, _LIST)


@contextlib.contextmanager
def _echo(path: str) -> Generator[Callable[[], float]]:
    """Start a server that answers each line with the same line, and yield what asks it once."""
    with _served([sys.executable, "-m", "bench.roundtrip", path], path) as connection:
        line = _request("lease.acquire", {"secret": SECRET})
        yield lambda: round_trip(connection, line)


@contextlib.contextmanager
def _served(command: list[str], path: str) -> Generator[socket.socket]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                _connect(connection, path)
                yield connection
        finally:
            server.terminate()


def _connect(connection: socket.socket, path: str) -> None:
    """Wait until somebody listens: a socket's file is there a moment before that."""
    while connection.connect_ex(path) != 0:
        time.sleep(0.01)


def round_trip(connection: socket.socket, request: bytes) -> float:
    """Send a request over a kept connection, and return the seconds until its answer is there."""
    begun = time.perf_counter()
    connection.sendall(request)
    connection.recv(_CHUNK)
    return time.perf_counter() - begun


async def _serve(path: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()

    await (await asyncio.start_unix_server(answer, path)).serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
