"""How are the configured identities listed, and how is one of them chosen?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from brokerctl import output
from brokerctl.replies import field, number, pages, pick
from brokershim.client import Client
from brokershim.errors import IdentityNotFound, UsageError

KEYS = ("name", "kind", "state", "issuer", "subject", "until", "reason")
_TITLES = ("identity", "kind", "state", "who", "from", "next login in")
_WRITE_ONE = (
    'write one into config.toml: [identity.NAME] with kind = "oidc", issuer and client_id, as '
    "docs/identities.md says"
)
_STATES = {
    "due": "login due",
    "login": "login needed",
    "absent": "not here",
}


def listed(client: Client) -> list[dict[str, Any]]:
    """Return the configured identities, by name.

    Raises:
        BrokerError: What the daemon answers.
    """
    return list(pages(client, "identity.list", "identities"))


def facts(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what ``--json`` shows of identities."""
    return [pick(row, KEYS) for row in rows]


def show(rows: list[dict[str, Any]]) -> None:
    """Print identities as a table, and below it what is to be done."""
    output.table(_TITLES, [_cells(row) for row in rows], empty="no identities are configured")
    for row in rows:
        for line in _advice(row):
            output.note(line)


def the_only_personal_one(client: Client) -> str:
    """Return the name of the one identity that a person logs in to.

    Raises:
        UsageError: There is none, or there are several.
    """
    rows = listed(client)
    names = [field(row, "name", str) for row in rows if row.get("personal") is True]
    if not names:
        which = "that a person logs in to" if rows else "at all"
        raise UsageError(f"no identity is configured {which}", hint=_WRITE_ONE)
    if len(names) > 1:
        raise UsageError("several identities are configured", hint=f"name one: {', '.join(names)}")
    return names[0]


def named(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Return the identity of a name.

    Raises:
        IdentityNotFound: None has it.
    """
    for row in rows:
        if row.get("name") == name:
            return row
    raise IdentityNotFound("no identity of that name is configured")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    state = field(row, "state", str)
    return (
        field(row, "name", str),
        field(row, "kind", str),
        _STATES.get(state, state),
        field(row, "subject", str) or "-",
        field(row, "issuer", str) or "-",
        "-" if row.get("until") is None else output.span(number(row, "until")),
    )


def _advice(row: dict[str, Any]) -> list[str]:
    name, reason = field(row, "name", str), field(row, "reason", str)
    said = [f"{name}: {reason}"] if reason else []
    if row["state"] in ("due", "login"):
        return [*said, f"{name}: log in with `brokerctl login {name}`"]
    return said
