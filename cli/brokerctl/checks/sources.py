"""Can the configured identities be used, and do the backends answer?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from brokerctl import identities
from brokerctl.checks.check import Check
from brokerctl.replies import field, pages
from brokershim.client import Client

_MANUALS = {"aws": "docs/aws.md", "vault": "docs/vault.md"}
"""By kind of backend: where it says how a person logs in to one."""


def sources(client: Client | None) -> Iterator[Check]:
    """Look at what the daemon says of where keys come from; without one, at nothing."""
    if client is None:
        return
    for row in identities.listed(client):
        yield _identity(row)
    for row in pages(client, "backend.list", "backends"):
        yield _backend(row)


def _identity(row: dict[str, Any]) -> Check:
    name, reason = field(row, "name", str), field(row, "reason", str)
    what = f"identity {name}"
    match row["state"]:
        case "ready":
            return Check(what, "ok", reason or "ready")
        case "due" | "login":
            detail = reason or "a login is due"
            return Check(what, "warn", detail, f"log in with `brokerctl login {name}`")
        case "absent":
            return Check(what, "warn", reason)
        case _:
            manual = _MANUALS.get(field(row, "kind", str), "docs/identities.md")
            return Check(what, "fail", reason, f"see {manual}")


def _backend(row: dict[str, Any]) -> Check:
    name, reason = field(row, "name", str), field(row, "reason", str)
    what, enrolment = f"backend {name}", row.get("enrolment")
    if enrolment and not enrolment["done"]:
        if enrolment["reason"]:
            return Check(what, "warn", enrolment["reason"], "unlock the keyring, then look again")
        detail = f"has no {field(enrolment, 'wants', str)}"
        return Check(what, "warn", detail, f"give it that with `brokerctl backend enrol {name}`")
    if row["state"] == "closed" and not reason:
        return Check(what, "ok", "not known to be away")
    return Check(what, "warn", reason, "`brokerctl status` tells what of it is served meanwhile")
