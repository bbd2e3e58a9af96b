"""What does a key of Vault cost through us, and what through Vault's own proxy and agent?"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Generator
from urllib.parse import urlsplit

import psutil

from bench.atonce import at_once
from bench.commands import in_turn
from bench.figures import Figure, middle, spread
from bench.memory import resident
from bench.roundtrip import asked_in_turn, lease, ratio, round_trip
from bench.vaulted import COUNTED, SECRET, Scene, scene, started
from brokershim.client import Client
from demo.home import Home

PROCESSES = 100
_AGENT_RUNS = 5
_CHUNK = 65536


def measure(_home: Home) -> list[Figure]:
    """Measure in a broker of its own, whose keys are in a Vault."""
    with scene() as here, here.proxy() as proxy:
        return [*_hundred(here, proxy), *_warm(here, proxy), _run(here), _memory(here)]


def _hundred(here: Scene, proxy: str) -> list[Figure]:
    """Start all at once while nobody has logged in yet: the login is in the time, too."""
    ours = at_once("lease", here.socket, COUNTED, PROCESSES)
    reads, requests = here.counter.requests(here.target), here.counter.requests()
    theirs = at_once("proxy", proxy, here.target, PROCESSES)
    both = f"{ours * 1e3:.0f} ms to {theirs * 1e3:.0f} ms, until the last has its key"
    note = f"{requests} requests in all, the login's among them; {PROCESSES} through `bao proxy`"
    return [
        Figure("a hundred at once: reads in Vault", reads, "x", 1, note),
        Figure("a hundred at once, to the last", ours * 1e3, "ms", None, both),
    ]


def _warm(here: Scene, proxy: str) -> list[Figure]:
    address = urlsplit(here.server.url)
    with (
        lease(here.home, SECRET) as leasing,
        _reading(socket.AF_UNIX, proxy, here) as through,
        _reading(socket.AF_INET, (address.hostname, address.port), here) as direct,
    ):
        times = asked_in_turn({"lease": leasing, "proxy": through, "server": direct})
    return [
        ratio("lease of Vault's key, to `bao proxy`", times, "proxy", 1 / 3),
        ratio("lease of Vault's key, to the server", times, "server", None),
    ]


@contextlib.contextmanager
def _reading(
    family: int, where: str | tuple[str | None, int | None], here: Scene
) -> Generator[Callable[[], float]]:
    """Yield what reads the secret once, over a kept connection."""
    headers = f"host: vault\r\nx-vault-token: {here.token}\r\n"
    request = f"GET {here.target} HTTP/1.1\r\n{headers}\r\n".encode()
    with socket.socket(family) as connection:
        connection.connect(where)
        connection.sendall(request)
        answer = connection.recv(_CHUNK)
        if b" 200 " not in answer[:20] or not answer.endswith(b"}\n"):
            raise RuntimeError("the secret cannot be read")
        yield lambda: round_trip(connection, request)


def _run(here: Scene) -> Figure:
    ours = ["brokerctl", "run", "--env", f"OPENAI_API_KEY={SECRET}", "--", "true"]
    run, agent = in_turn(here.home, (ours, {}), (here.agent("true"), {}), runs=_AGENT_RUNS)
    both = f"{spread(run, 1e3, 'ms')} to {spread(agent, 1e3, 'ms')}"
    return Figure("`brokerctl run`, to `bao agent`", middle(run) / middle(agent), "x", 0.1, both)


def _memory(here: Scene) -> Figure:
    with contextlib.closing(Client(here.socket)) as client:
        ours, note = resident(client.call("daemon.status")["pid"])
    with started(here.home, here.agent("sleep", "600")) as agent:
        while not psutil.Process(agent.pid).children():  # it has the secret once it starts that
            time.sleep(0.02)
        theirs, _ = resident(agent.pid)
    both = f"{ours:.1f} MB ({note}) to {theirs:.1f} MB"
    return Figure("daemon's memory, to `bao agent`", ours / theirs, "x", 0.5, both)
