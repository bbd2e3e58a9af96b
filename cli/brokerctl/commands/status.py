"""`brokerctl status`: the daemon, its store and its sessions at a glance."""

from __future__ import annotations

from typing import Any

import click

from brokerctl import identities, output, stale
from brokerctl.autostart import running
from brokerctl.options import json_option
from brokerctl.replies import field, number, pages, pick, table, texts
from brokershim.client import Client
from brokershim.paths import socket_path

_KEYS = (
    "pid", "version", "uptime", "connections", "leases", "revoking", "store", "audit", "policy",
    "config_changed", "backends", "protection",
)  # fmt: skip
_BACKEND_KEYS = ("name", "state", "failures", "retry_in", "reason", "keys", "served_for")
_SESSION_KEYS = ("session", "root", "program", "script", "project", "secrets", "leases")


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show the daemon, its store, its identities and its sessions.

    Starts nothing, and ends with 0 whether a daemon runs or not; `brokerctl daemon status` ends
    with 5 if none does.

    --json: {running, socket, pid, version, uptime, connections, leases, revoking, store, audit,
    policy, config_changed, backends, protection, identities, sessions}; null where no daemon runs;
    config_changed says that config.toml is no longer what the daemon read at its start; revoking
    is how many credentials of ended leases their backends have still to revoke; backends is a list
    of {name, state, failures, retry_in, reason, keys, served_for} with state closed, open or
    half-open, how many keys are kept or live with a lease, and for how many seconds they are
    served should it stay away; identities is what `brokerctl whoami --json` shows; sessions is a
    list of {session, root, program, script, project, secrets, leases}.
    """
    client = running()
    if as_json:
        output.document(_facts(client))
    elif client is None:
        output.result("no daemon runs; it starts when it is needed")
    else:
        _show(_facts(client))


def _facts(client: Client | None) -> dict[str, Any]:
    reply = {} if client is None else client.call("daemon.status")
    sessions = [] if client is None else list(pages(client, "session.list", "sessions"))
    return {
        "running": client is not None,
        "socket": socket_path(),
        **pick(reply, _KEYS),
        "backends": [pick(row, _BACKEND_KEYS) for row in reply.get("backends", ())],
        "identities": [] if client is None else identities.facts(identities.listed(client)),
        "sessions": [pick(row, _SESSION_KEYS) for row in sessions],
    }


def _show(facts: dict[str, Any]) -> None:
    output.facts(
        {
            "daemon": f"version {facts['version']}, process {facts['pid']}, "
            f"up {output.span(number(facts, 'uptime'))}",
            "socket": facts["socket"],
            "store": describe_store(table(facts, "store")),
            "policy": describe_policy(table(facts, "policy")),
            "audit": output.count(field(table(facts, "audit"), "seq", int), "event"),
            "protection": ", ".join(texts(facts, "protection")),
            "leases": describe_leases(facts),
        }
    )
    if stale.is_stale(facts):
        stale.say()
    if facts["backends"]:
        rows = [
            (str(row["name"]), describe_backend(row) + _meanwhile(row)) for row in facts["backends"]
        ]
        output.table(("backend", "state"), rows, empty="no backends")
    if facts["identities"]:
        identities.show(facts["identities"])
    titles = ("session", "process", "program", "project", "secrets", "leases")
    output.table(titles, [_cells(row) for row in facts["sessions"]], empty="no sessions")


def describe_store(store: dict[str, Any]) -> str:
    """Return the state of the embedded store in a few words."""
    if store.get("damaged"):
        return f"damaged: {store['damaged']}"
    if not store.get("exists"):
        return "none yet; `brokerctl unlock` makes it"
    state = "locked" if store.get("locked") else "unlocked"
    return f"{state}, its master key comes from the {store.get('master_key')}"


def describe_policy(policy: dict[str, Any]) -> str:
    """Return the state of policy.toml in a few words."""
    if policy.get("error"):
        return f"nothing is granted: {policy['error']}"
    return output.count(field(policy, "grants", int), "grant")


def describe_leases(facts: dict[str, Any]) -> str:
    """Return how many leases there are, and what is left of those that are over."""
    revoking = field(facts, "revoking", int)
    left = f", and {output.count(revoking, 'ended one')} to be revoked at a backend"
    return str(facts["leases"]) + (left if revoking else "")


def describe_backend(backend: dict[str, Any]) -> str:
    """Return how a backend fares in a few words."""
    failures = output.count(field(backend, "failures", int), "failure")
    match backend.get("state"):
        case "open":
            when = output.span(number(backend, "retry_in"))
            return f"away, asked again in {when}: {backend['reason']}"
        case "half-open":
            return f"away, asked again with the next request: {backend['reason']}"
        case _ if backend["failures"]:
            return f"{failures} in a row: {backend['reason']}"
        case _:  # it may refuse all the same: that is heard by whoever asks it
            return "not known to be away"


def _meanwhile(backend: dict[str, Any]) -> str:
    """Return what is served of a backend while it is away, and for how long."""
    if backend["state"] == "closed":
        return ""
    keys = field(backend, "keys", int)
    if not keys:
        return "; no key of it is kept"
    served_for = backend.get("served_for")
    until = "" if served_for is None else f" for {output.span(number(backend, 'served_for'))}"
    return f"; {output.count(keys, 'key')} served meanwhile{until}"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(row["session"]),
        str(row["root"]),
        str(row["script"] or row["program"]),
        str(row["project"] or "-"),
        " ".join(texts(row, "secrets")),
        str(row["leases"]),
    )
