"""The process behind a `tests.support.puppet.Puppet`: carries out lines of Python that it is told.

Run as a script with the path of the stage's socket and the folder of the shim.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import socket
import sys
from typing import Any

strings: list[socket.socket] = []


class _Born(BaseException):
    """Leads a forked child out of its parent's line, which is not its own to answer."""


def tie(stage: str) -> None:
    """Connect to the stage and say who this is."""
    string = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    string.connect(stage)
    strings[:] = [string]
    _say({"pid": os.getpid()})


def _say(message: dict[str, Any]) -> None:
    strings[0].sendall(json.dumps(message).encode() + b"\n")


def obey(names: dict[str, Any]) -> None:
    """Carry out one line after the other, until the stage is gone."""
    while True:
        line = b""
        while not line.endswith(b"\n"):
            part = strings[0].recv(65536)
            if not part:
                os._exit(0)
            line += part
        with contextlib.suppress(_Born):
            _say(_do(json.loads(line), names))


def _do(order: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    names["given"] = order["given"]
    try:
        if order["value"]:
            return {"value": eval(order["code"], names)}
        exec(order["code"], names)
    except Exception as error:  # noqa: BLE001  (the test that gave the order judges it)
        to_wire = getattr(error, "to_wire", None)
        return {"error": to_wire()} if to_wire else {"raised": repr(error)}
    return {"value": None}


def main() -> None:
    stage, shim = sys.argv[1:]
    sys.path.insert(0, shim)
    from brokershim.client import Client

    told: list[tuple[str, dict[str, Any]]] = []
    kept: dict[str, Client] = {}

    def note(method: str, params: dict[str, Any]) -> None:
        told.append((method, params))

    def client() -> Client:
        if "it" not in kept:
            kept["it"] = Client(timeout=20.0, notify=note)
        return kept["it"]

    def call(method: str, params: dict[str, Any]) -> dict[str, Any]:
        return client().call(method, **params)

    def drained() -> list[tuple[str, dict[str, Any]]]:
        client().drain()
        return told

    def hang_up() -> None:
        if "it" in kept:
            kept.pop("it").close()

    def fork() -> int:
        return _child_of(os.fork(), stage)

    def fork_in_terminal() -> int:
        pid, names["terminal"] = pty.fork()
        return _child_of(pid, stage)

    names: dict[str, Any] = {
        "os": os,
        "socket": socket,
        "Client": Client,
        "client": client,
        "kept": kept,
        "call": call,
        "drained": drained,
        "hang_up": hang_up,
        "fork": fork,
        "fork_in_terminal": fork_in_terminal,
    }
    tie(stage)
    with contextlib.suppress(ConnectionError):  # the stage was taken down
        obey(names)


def _child_of(pid: int, stage: str) -> int:
    if pid == 0:
        tie(stage)
        raise _Born
    return pid


if __name__ == "__main__":
    main()
