"""`brokerctl backend`: where keys come from, what it allows, and what it has to be given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from brokerctl import output, stale
from brokerctl.autostart import connect_or_start
from brokerctl.commands.status import describe_backend
from brokerctl.options import BACKEND, json_option, refuse_values
from brokerctl.prompts import read_secret
from brokerctl.replies import field, pages, pick, table, texts
from brokershim.client import Client
from brokershim.errors import BackendNotFound, Denied, UsageError

_KEYS = (
    "name", "kind", "login", "state", "failures", "retry_in", "reason", "enrolment", "account",
)  # fmt: skip
_ENROLMENT_KEYS = ("wants", "done", "reason")
_ACCOUNT_KEYS = ("state", "issuer", "subject", "until", "reason")
_FINDING_KEYS = ("subject", "path", "has", "lacks", "beyond", "hint", "verdict")


@click.group()
def backend() -> None:
    """See where keys come from, and let it know you."""


@backend.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the backends, how each fares, and what it waits for.

    --json: a list of {name, kind, login, state, failures, retry_in, reason, enrolment, account};
    state to reason are as in `brokerctl status --json`; enrolment is {wants, done, reason}, or null
    where nothing has to be given; account is {state, issuer, subject, until, reason}, or null where
    nobody logs in.
    """
    client = connect_or_start()
    stale.warn(client)
    rows = _listed(client)
    if as_json:
        output.document(rows)
        return
    titles = ("backend", "kind", "login", "state")
    output.table(titles, [_cells(row) for row in rows], empty="no backends are configured")
    for row in rows:
        for line in _advice(row):
            output.note(line)


@backend.command()
@click.argument("name", type=BACKEND)
@json_option
@click.pass_context
def check(ctx: click.Context, name: str, as_json: bool) -> None:
    """Ask the backend NAME what it allows for each of its secrets.

    "Lacks" is needed and not allowed. "Too much" is allowed and not needed: whoever takes over this
    machine's login has it, too. Ends with 3 if anything lacks, and otherwise with 0.

    --json: a list of {subject, path, has, lacks, beyond, hint, verdict}; subject is a secret, or
    empty for what is about the backend itself; verdict is ok, lacks or beyond.
    """
    client = connect_or_start()
    stale.warn(client)
    output.progress(f"asking {name} what it allows… (Ctrl-C gives up)")
    found = pages(client, "backend.check", "findings", backend=name)
    rows = [pick(each, _FINDING_KEYS) for each in found]
    if as_json:
        output.document(rows)
    else:
        _show(name, rows)
    if any(row["verdict"] == "lacks" for row in rows):
        ctx.exit(Denied.exit_status)


@backend.command()
@click.argument("name", type=BACKEND)
@click.argument("misplaced", nargs=-1, metavar="")
def enrol(name: str, misplaced: tuple[str, ...]) -> None:
    """Give the backend NAME what it logs in with.

    That is a private key, a secret id or a token, by its `login` in config.toml. It is typed
    unseen, or comes from standard input, and is kept in the keyring of the system.
    """
    refuse_values(misplaced, f"brokerctl backend enrol {name}")
    client = connect_or_start()
    stale.warn(client)
    client.call("backend.enrol", backend=name, value=read_secret(_wanted(client, name)))
    output.result(f"{name} keeps it in the keyring; `brokerctl backend check {name}` tries it")


def _listed(client: Client) -> list[dict[str, Any]]:
    rows = [pick(each, _KEYS) for each in pages(client, "backend.list", "backends")]
    for row in rows:
        for key, keys in (("enrolment", _ENROLMENT_KEYS), ("account", _ACCOUNT_KEYS)):
            row[key] = None if row[key] is None else pick(table(row, key), keys)
    return rows


def _wanted(client: Client, name: str) -> str:
    """Return what a backend has to be given, before anybody is asked for it."""
    row = next((each for each in _listed(client) if each["name"] == name), None)
    if row is None:
        raise BackendNotFound("no backend of that name is configured")
    if row["enrolment"] is None:
        raise UsageError(
            f"backend {name} logs in with nothing that it has to be given",
            hint="`brokerctl backend list` shows which does",
        )
    return f"{field(row['enrolment'], 'wants', str)} for {name}"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        field(row, "name", str),
        field(row, "kind", str) or "-",
        field(row, "login", str) or "-",
        _waits_for(row) or describe_backend(row),
    )


def _waits_for(row: dict[str, Any]) -> str:
    """Return what a backend cannot log in without; empty where there is nothing."""
    enrolment, account = row["enrolment"], row["account"]
    if enrolment and enrolment["done"] is False:
        return f"waits for its {field(enrolment, 'wants', str)}"
    states = {"login": "waits for a login", "absent": "cannot log in", "failed": "cannot log in"}
    return states.get(field(account, "state", str), "") if account else ""


def _advice(row: dict[str, Any]) -> list[str]:
    name, enrolment, account = field(row, "name", str), row["enrolment"], row["account"]
    said = [f"{name}: {each['reason']}" for each in (enrolment, account) if each and each["reason"]]
    if enrolment and enrolment["done"] is False:
        wants = field(enrolment, "wants", str)
        said.append(f"{name}: give it its {wants} with `brokerctl backend enrol {name}`")
    if account and account["state"] in ("due", "login"):
        said.append(f"{name}: log in with `brokerctl login {name}`")
    return said


def _show(name: str, rows: list[dict[str, Any]]) -> None:
    titles = ("secret", "path", "has", "lacks", "too much")
    cells = [_allowed(row) for row in rows]
    output.table(titles, cells, empty=f"no secret of config.toml is of {name}")
    for line, beyond in dict.fromkeys(_hints(name, rows)):  # two paths may need the same
        (output.warning if beyond else output.note)(line)


def _hints(name: str, rows: list[dict[str, Any]]) -> Iterator[tuple[str, bool]]:
    """Yield what to do, and whether only because something is too much."""
    for row in rows:
        hint = field(row, "hint", str)
        if hint:
            yield f"{field(row, 'subject', str) or name}: {hint}", row["verdict"] == "beyond"


def _allowed(row: dict[str, Any]) -> tuple[str, ...]:
    beyond = texts(row, "beyond")
    fitting = [each for each in texts(row, "has") if each not in beyond]  # or a line has it twice
    lists = [", ".join(each) or "-" for each in (fitting, texts(row, "lacks"), beyond)]
    return (field(row, "subject", str) or "-", field(row, "path", str), *lists)
