"""`brokerctl rotate`: a newer key, asked for at the backend that makes it."""

from __future__ import annotations

import itertools
import time

import click

from brokerctl import output, stale
from brokerctl.autostart import connect_or_start
from brokerctl.options import DURATION, SECRET, json_option
from brokerctl.replies import field
from brokershim.client import Client
from brokershim.errors import BackendTimeout, BackendUnavailable, DaemonUnreachable

_FIRST_SECONDS, _LONGEST_SECONDS = 0.25, 2.0
"""From one question to the next; some rotations take a second, others minutes."""
_TOLD_EVERY = 5
_SECONDS = 600


@click.command()
@click.argument("name", type=SECRET)
@click.option(
    "--timeout", "seconds", type=DURATION, default=str(_SECONDS),
    help="How long to wait for it: 90, 90s, 15m, 1h. 10m if not given.",
)  # fmt: skip
@json_option
def rotate(name: str, seconds: int, as_json: bool) -> None:
    """Ask the backend of NAME for a newer key, and wait until that is in use.

    Running programs get it at once. With Ctrl-C only the waiting ends: the rotation goes on, and
    this command waits for it again.

    --json: {name, version}, once it is in use.
    """
    client = connect_or_start()
    stale.warn(client)
    output.progress(f"asking for a newer key of {name}…")
    version = field(client.call("secret.rotate", name=name), "version", str)
    try:
        _wait(client, name, version, seconds)
    except (KeyboardInterrupt, DaemonUnreachable):
        output.note(f"the rotation of {name} goes on; `brokerctl rotate {name}` waits for it again")
        raise
    if as_json:
        output.document({"name": name, "version": version})
    else:
        output.result(f"{name} rotated, now version {version}")


def _wait(client: Client, name: str, version: str, seconds: int) -> None:
    began = time.monotonic()
    for turn in itertools.count():
        if _is_done(client, name, version):
            return
        waited = time.monotonic() - began
        if waited >= seconds:
            raise BackendTimeout(
                f"the rotation of {name} is not over after {output.span(waited)}",
                hint=f"`brokerctl rotate {name}` waits for it again; see at its backend whether it "
                "fails there; the key before is still served",
            )
        if turn % _TOLD_EVERY == 0:
            output.progress(f"waiting for version {version}… ({output.span(waited)}; Ctrl-C ends)")
        time.sleep(min(_LONGEST_SECONDS, _FIRST_SECONDS * (turn + 1)))


def _is_done(client: Client, name: str, version: str) -> bool:
    try:
        return field(client.call("secret.rotation", name=name, version=version), "done", bool)
    except BackendUnavailable as problem:  # the rotation goes on all the same
        output.progress(problem.message)
        return False
