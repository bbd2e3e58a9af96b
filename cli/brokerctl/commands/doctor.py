"""`brokerctl doctor`: is everything as it should be, and what is to be done where it is not?"""

from __future__ import annotations

import os

import click

from brokerctl import output
from brokerctl.autostart import running
from brokerctl.checks import aws, daemon, files, here, interpreter, sources
from brokerctl.checks.check import Check, guarded
from brokerctl.options import json_option
from brokershim.client import Client
from brokershim.errors import BrokerError

_COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Check that everything is in order.

    The daemon, its files, its identities and backends, this folder and its
    Python. Ends with 1 if a check fails. Starts nothing; without a daemon it
    does what it can.

    --json: a list of {name, state, detail, hint}, where state is ok, warn or fail.
    """
    found = checks()
    if as_json:
        output.document([each._asdict() for each in found])
    for each in found if not as_json else ():
        output.result(f"{each.state.ljust(4)}  {each.name}: {each.detail}", _COLORS[each.state])
        if each.hint:
            output.result(f"      {each.hint}")
    if any(each.state == "fail" for each in found):
        ctx.exit(1)


def checks() -> list[Check]:
    """Return what every check finds."""
    client, unreachable = _client()
    return [
        *guarded("folder", files.folders),
        *guarded("settings", files.settings),
        *(unreachable or guarded("daemon", lambda: daemon.daemon(client))),
        *guarded("identities", lambda: sources.sources(client)),
        *guarded("audit", lambda: files.audit(client)),
        *guarded("environment", lambda: here.environment(os.environ)),
        *guarded(".env", lambda: here.dotenv_file(os.getcwd())),
        *guarded("aws", lambda: aws.files(os.environ)),
        *guarded("project", lambda: here.project_file(client)),
        *guarded("python3", lambda: interpreter.python(os.environ)),
    ]


def _client() -> tuple[Client | None, list[Check]]:
    try:
        return running(), []
    except BrokerError as problem:  # its folder is not ours alone
        return None, [Check("daemon", "fail", problem.message, problem.hint)]
