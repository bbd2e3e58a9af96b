"""`brokerctl audit`: what happened, and whether the log of it is whole."""

from __future__ import annotations

import json
import os
import re
from collections import deque
from typing import Any

import click

from brokerctl import output
from brokerctl.auditing import daemons_head, describe
from brokerctl.autostart import running
from brokerctl.options import LEASE, SECRET, json_option, lines_option
from brokerd.audit.line import AuditHead
from brokerd.audit.reader import events
from brokerd.audit.verify import VerifyReport, verify
from brokershim.errors import NotFound, UsageError
from brokershim.paths import state_dir

_CHAIN = ("seq", "time", "event", "prev", "hash")
_HEAD = re.compile(r"([0-9]{1,18}):([0-9a-f]{64})")


class _Head(click.ParamType[Any]):
    """``SEQ:HASH``, as an earlier `audit verify` printed it."""

    name = "seq:hash"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> AuditHead:
        del param, ctx
        match = _HEAD.fullmatch(str(value))
        if match is None:
            raise UsageError("not of the form SEQ:HASH", hint="`brokerctl audit verify` prints it")
        return AuditHead(int(match[1]), match[2])


@click.group(invoke_without_command=True)
@lines_option
@click.option("--secret", type=SECRET, help="Only events about this secret.")
@click.option("--lease", type=LEASE, help="Only events about this lease.")
@json_option
@click.pass_context
def audit(ctx: click.Context, /, count: int, as_json: bool, **wanted: str | None) -> None:
    """Show the newest events, the newest last. Needs no daemon.

    --json: a list of events as they were written: {seq, time, event, prev, hash} and the event's
    own fields; time is UTC, RFC 3339.
    """
    if ctx.invoked_subcommand is not None:
        return
    rows = list(deque((each for each in _events() if _matches(each, wanted)), maxlen=count))
    if as_json:
        output.document(rows)
    elif not rows:
        output.note("no such events")
    for row in rows if not as_json else ():
        output.result(_line(row))


@audit.command("verify")
@click.option("--head", type=_Head(), help="An end that was noted down earlier: SEQ:HASH.")
@json_option
@click.pass_context
def verify_(ctx: click.Context, head: AuditHead | None, as_json: bool) -> None:
    """Check that the log is whole.

    Ends with 1 if an event was changed, removed or moved. Needs no daemon; where one runs, the
    log must hold what it last wrote.

    --json: {files, events, seq, hash, problems}, where problems is a list of {file, line, what}.
    """
    daemons = daemons_head(running())
    if head is None and daemons is None and not os.path.lexists(_folder()):
        raise NotFound(
            f"there is no audit log in {_folder()}",
            hint="no daemon has run here yet; if one has, the log was removed",
        )
    report = verify(_folder(), daemons, noted=head)
    if as_json:
        output.document(_document(report))
    else:
        _show(report)
    if report.problems:
        ctx.exit(1)


def _document(report: VerifyReport) -> dict[str, Any]:
    return {
        "files": report.files,
        "events": report.events,
        **report.head._asdict(),
        "problems": [each._asdict() for each in report.problems],
    }


def _show(report: VerifyReport) -> None:
    for each in report.problems:
        output.result(describe(each), "red")
    state = "NOT WHOLE" if report.problems else "whole"
    events_in = f"{output.count(report.events, 'event')} in {output.count(report.files, 'file')}"
    output.result(f"{state}: {events_in}")
    output.result(f"its end is {report.head.seq}:{report.head.hash}")


def _folder() -> str:
    return os.path.join(state_dir(), "audit")


def _events() -> Any:
    return events(_folder()) if os.path.isdir(_folder()) else ()


def _matches(event: dict[str, Any], wanted: dict[str, str | None]) -> bool:
    return all(value is None or event.get(key) == value for key, value in wanted.items())


def _line(event: dict[str, Any]) -> str:
    known = {key: value for key, value in event.items() if key not in _CHAIN and value is not None}
    own = [f"{key}={v if isinstance(v, str) else json.dumps(v)}" for key, v in known.items()]
    return " ".join([str(event["time"]), str(event["event"]), *own])
