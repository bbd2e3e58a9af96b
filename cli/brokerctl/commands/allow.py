"""`brokerctl allow`: trust a broker.toml as it stands now."""

from __future__ import annotations

from typing import Any

import click

from brokerctl import output, project, stale
from brokerctl.autostart import connect_or_start
from brokerctl.replies import field, items, mapping, whole_pages
from brokerctl.trust import describe
from brokershim.client import Client
from brokershim.errors import Locked


@click.command()
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False))
def allow(folder: str | None) -> None:
    """Trust a broker.toml as it stands.

    The one of FOLDER, by default this one, or of a folder above it. Programs that are run there
    may then lease what it names. When it changes, it has to be allowed again.
    """
    client = connect_or_start()
    facts = client.call("project.show", path=project.require(folder))
    for line in describe(facts):
        output.result(line)
    if field(facts, "state", str) != "allowed":
        path, sha256 = field(facts, "path", str), field(facts, "sha256", str)
        client.call("project.allow", path=path, sha256=sha256)
        output.result("allowed, until it changes")
    _warn_of_missing(client, set(mapping(facts, "env").values()))


def _listed(client: Client) -> list[dict[str, Any]]:
    """Return the secrets, page by page; of a store that is locked, what config.toml names."""
    try:
        return list(whole_pages(client, "secret.list", partial=True))
    except Locked as problem:  # config.toml names none
        return [{"secrets": [], "unlisted": problem.message}]


def _warn_of_missing(client: Client, asked: set[str]) -> None:
    replies = _listed(client)
    known = {field(row, "name", str) for reply in replies for row in items(reply, "secrets")}
    missing = sorted(asked - known)
    if missing:
        stale.warn(client)
    if missing and (why := replies[0].get("unlisted")) is not None:
        output.note(f"{why}, so it was not checked whether the secrets exist")
        return
    for name in missing:
        output.warning(f"{name} is not stored yet; store it with `brokerctl secret set {name}`")
