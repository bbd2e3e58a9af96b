"""`brokerctl daemon`: start it, stop it, see how it is."""

from __future__ import annotations

import contextlib
import os
import select
import socket

import click

from brokerctl import output
from brokerctl.autostart import connect, connect_or_start, running
from brokerctl.options import json_option, lines_option
from brokerctl.replies import number, pick
from brokershim.client import Client
from brokershim.errors import DaemonUnreachable
from brokershim.ownership import open_private

_KEYS = ("pid", "version", "uptime", "connections")
_STOP_SECONDS = 30.0
"""Longer than a daemon waits in all, should every server and keyring that it has to tell hang."""
_NOTE_AFTER = 1.0
_TAIL_BYTES = 1024 * 1024


@click.group()
def daemon() -> None:
    """Start, stop and look at the daemon. It starts by itself when it is needed."""


@daemon.command()
def start() -> None:
    """Start the daemon, unless it runs already."""
    before = running()
    client = before or connect_or_start()
    pid = client.call("daemon.status").get("pid")
    output.result(f"{'already running' if before else 'started'}, process {pid}")


@daemon.command()
def stop() -> None:
    """End the daemon and every lease, and wait until it is gone."""
    client = running()
    if client is None:
        output.note("no daemon runs")
        return
    _stop(client)
    output.result("stopped")


@daemon.command()
@json_option
def status(as_json: bool) -> None:
    """Say whether the daemon runs; end with 5 if it does not.

    --json: {pid, version, uptime, connections}; uptime is in seconds.
    """
    facts = pick(connect().call("daemon.status"), _KEYS)
    if as_json:
        output.document(facts)
        return
    uptime = output.span(number(facts, "uptime"))
    output.result(f"running, process {facts['pid']}, version {facts['version']}, up {uptime}")


@daemon.command()
@lines_option
def logs(count: int) -> None:
    """Show the newest lines that the daemon itself wrote. What was leased is in the audit."""
    from brokerctl.spawn import log_path

    try:
        fd = open_private(log_path())
    except FileNotFoundError:
        output.note("the daemon has written nothing yet")
        return
    with os.fdopen(fd, "rb") as file:
        file.seek(max(0, os.fstat(fd).st_size - _TAIL_BYTES))
        lines = file.read(_TAIL_BYTES).decode("utf-8", "replace").splitlines()
    for line in lines[-count:]:
        output.result(line)


def _stop(client: Client) -> None:
    """Ask it to end, and wait for the process that the kernel names at the socket's other end.

    Not for a process number that it tells: by the time it is looked at, another may have it.
    """
    from brokerd.peer import Peer

    with socket.socket(fileno=os.dup(client.fileno())) as connection:
        peer = Peer(connection)
    with contextlib.closing(peer):
        client.call("daemon.stop")
        _wait(peer.pid, peer.pin.fd)


def _wait(pid: int, pin: int) -> None:
    if _ended(pin, _NOTE_AFTER):
        return
    output.note("waiting for the daemon to end")
    if not _ended(pin, _STOP_SECONDS):
        raise DaemonUnreachable(
            f"process {pid} has not ended within {_STOP_SECONDS:.0f} s",
            hint=f"see `brokerctl daemon logs`, or end it with `kill {pid}`",
        )


def _ended(fd: int, timeout: float) -> bool:
    return bool(select.select([fd], [], [], timeout)[0])
