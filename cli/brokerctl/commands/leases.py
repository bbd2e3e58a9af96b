"""`brokerctl leases` and `brokerctl revoke`: what is leased now, and how it is ended by hand."""

from __future__ import annotations

from typing import Any

import click

from brokerctl import output
from brokerctl.autostart import running
from brokerctl.options import LEASE, json_option
from brokerctl.replies import field, number, pages, pick
from brokershim.client import Client
from brokershim.errors import LeaseNotFound, UsageError

_KEYS = ("lease", "secret", "version", "session", "pid", "expires_in", "bounded_by")
_TITLES = ("lease", "secret", "version", "session", "pid", "ends in", "bounded by")
_NO_DAEMON = "no daemon runs, so there are no leases"
_STILL_WORKS = {
    "broker": "a copy of that key would still work; end it at the provider",
    "provider": "a copy of that key would work until it dies by itself",
}


@click.command()
@json_option
def leases(as_json: bool) -> None:
    """List the live leases.

    "Bounded by" says what ends the key itself: the provider, the backend, or only the broker, so
    that a copy would still work. Without a daemon there are no leases.

    --json: a list of {lease, secret, version, session, pid, expires_in, bounded_by}; expires_in is
    in seconds.
    """
    client = running()
    rows = [] if client is None else [pick(row, _KEYS) for row in _live(client)]
    if as_json:
        output.document(rows)
    else:
        _show(rows, empty=_NO_DAEMON if client is None else "no leases")


@click.command()
@click.argument("lease", type=LEASE, required=False)
@click.option("--all", "everything", is_flag=True, help="End every lease.")
def revoke(lease: str | None, everything: bool) -> None:
    """End LEASE, or all leases, now.

    The session that held it cannot lease that secret again.
    """
    if (lease is None) is not everything:
        raise UsageError(
            "name either one LEASE or --all", hint="`brokerctl leases` lists what is live"
        )
    client = running()
    if client is not None:
        _revoke(client, lease)
    elif lease is not None:
        raise LeaseNotFound(_NO_DAEMON)
    else:
        output.note(_NO_DAEMON)


def _revoke(client: Client, lease: str | None) -> None:
    """End a lease, or all of them, and show what was ended."""
    chosen = [row for row in _live(client) if lease in (None, row.get("lease"))]
    reply = client.call("lease.revoke", **({"lease": lease} if lease else {"all": True}))
    _show(chosen, empty="no leases")
    output.note(f"{output.count(field(reply, 'revoked', int), 'lease')} ended")
    for bounded_by, meaning in _STILL_WORKS.items():
        if any(row.get("bounded_by") == bounded_by for row in chosen):
            output.note(f"bounded by {bounded_by}: {meaning}")


def _live(client: Client) -> list[dict[str, Any]]:
    return list(pages(client, "lease.list", "leases"))


def _show(rows: list[dict[str, Any]], empty: str) -> None:
    output.table(_TITLES, [_cells(row) for row in rows], empty)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        field(row, "lease", str),
        field(row, "secret", str),
        field(row, "version", str),
        field(row, "session", str),
        str(field(row, "pid", int)),
        output.span(number(row, "expires_in")),
        field(row, "bounded_by", str),
    )
