"""`brokerctl secret`: what is stored, and what is known of it. Never a value."""

from __future__ import annotations

from typing import Any

import click

from brokerctl import output
from brokerctl.autostart import connect_or_start
from brokerctl.options import DURATION, SECRET, json_option, refuse_values
from brokerctl.prompts import read_secret
from brokerctl.replies import field, items, number, pick, texts, whole_pages
from brokerctl.unlocking import unlocked
from brokershim.errors import UsageError

_KEYS = ("name", "provider", "hosts", "backend", "max_ttl", "version", "bounded_by")
_VERSION_KEYS = ("version", "created")


@click.group()
def secret() -> None:
    """Store secrets, and see what is stored."""


@secret.command("set")
@click.argument("name", type=SECRET)
@click.argument("misplaced", nargs=-1, metavar="")
@click.option("--provider", help="Such as openai; by default, the first part of NAME.")
@click.option("--host", "hosts", multiple=True, help="A host that it may go to. Repeatable.")
@click.option("--max-ttl", type=DURATION, help="The longest lease: 90, 90s, 15m, 1h.")
@click.option("--keep-value", is_flag=True, help="Change only what the options say.")
def set_(
    name: str,
    misplaced: tuple[str, ...],
    keep_value: bool,
    **options: Any,
) -> None:
    """Store a secret. Its value is typed unseen, or comes from standard input.

    A name such as openai/dev presets the provider and the hosts.
    """
    refuse_values(misplaced, f"brokerctl secret set {name}")
    request = {key: value for key, value in options.items() if value}
    if keep_value and not request:
        raise UsageError(
            "--keep-value leaves nothing to change", hint="say what: --host, --provider, --max-ttl"
        )
    if not keep_value:
        request["value"] = read_secret(f"Value of {name}")
    reply = unlocked(lambda: connect_or_start().call("secret.set", name=name, **request))
    what = "stored" if reply.get("created") else "changed"
    output.result(f"{name} {what}, version {field(reply, 'version', str)}")


@secret.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the secrets: those that are stored, and those of config.toml.

    A store that is locked hides its own; a warning says so.

    --json: a list of {name, provider, hosts, backend, max_ttl, version, bounded_by}; max_ttl is
    in seconds, version empty where only a fetch tells it.
    """
    replies = list(whole_pages(connect_or_start(), "secret.list", partial=True))
    rows = [pick(each, _KEYS) for reply in replies for each in items(reply, "secrets")]
    unlisted = replies[0].get("unlisted")
    if unlisted:
        output.warning(f"the secrets of the embedded store are not shown: {unlisted}")
    if as_json:
        output.document(rows)
        return
    output.table(
        ("name", "provider", "hosts", "longest lease", "version", "bounded by"),
        [_cells(row) for row in rows],
        empty="no secret is stored",
    )


@secret.command()
@click.argument("name", type=SECRET)
@json_option
def show(name: str, as_json: bool) -> None:
    """Show what is known of a secret, and its versions.

    --json: {name, provider, hosts, backend, max_ttl, version, bounded_by, versions}, where
    versions is a list of {version, created}.
    """
    reply = connect_or_start().call("secret.show", name=name)
    versions = [pick(each, _VERSION_KEYS) for each in items(reply, "versions")]
    if as_json:
        output.document({**pick(reply, _KEYS), "versions": versions})
        return
    titles = ("name", "provider", "hosts", "longest lease", "version", "bounded by")
    output.facts(dict(zip(titles, _cells(reply), strict=True)))
    rows = [(str(each["version"]), str(each["created"])) for each in versions]
    # None are listed only of one that another backend than the embedded store has.
    backend = field(reply, "backend", str)
    kept = field(reply, "bounded_by", str) == "broker"
    none = f"its versions are at {backend}" if kept else f"{backend} makes it: it has no versions"
    output.table(_VERSION_KEYS, rows, empty=none)


@secret.command()
@click.argument("name", type=SECRET)
def rm(name: str) -> None:
    """Remove a secret with all its versions, and end its leases."""
    connect_or_start().call("secret.remove", name=name)
    output.result(f"{name} removed")


@secret.command()
@click.argument("name", type=SECRET)
@click.option("--to", "version", type=click.IntRange(min=1), help="By default, the one before.")
def rollback(name: str, version: int | None) -> None:
    """Make an older value current again. Running programs get it at once."""
    chosen = {} if version is None else {"version": str(version)}
    reply = connect_or_start().call("secret.rollback", name=name, **chosen)
    output.result(f"{name} rolled back, now version {field(reply, 'version', str)}")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        field(row, "name", str),
        field(row, "provider", str) or "-",
        " ".join(texts(row, "hosts")),
        output.span(number(row, "max_ttl")),
        field(row, "version", str) or "-",
        field(row, "bounded_by", str),
    )
