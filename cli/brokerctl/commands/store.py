"""`brokerctl unlock` and `brokerctl lock`: the embedded store as a whole."""

from __future__ import annotations

import click

from brokerctl import output
from brokerctl.autostart import running
from brokerctl.prompts import read_passphrase
from brokerctl.replies import field
from brokerctl.unlocking import unlock as unlock_store


@click.command()
def unlock() -> None:
    """Open the store, or make one.

    Where there is no keyring, a passphrase is asked for, or read as one line from standard
    input. A new one is asked for twice.
    """
    reply = unlock_store(read_passphrase)
    made = "a new store, unlocked" if field(reply, "created", bool) else "unlocked"
    output.result(f"{made}; its master key comes from the {field(reply, 'master_key', str)}")


@click.command()
def lock() -> None:
    """Close the store and end its leases."""
    client = running()
    if client is None:
        output.note("no daemon runs, so nothing is unlocked")
        return
    client.call("store.lock")
    output.result("locked")
