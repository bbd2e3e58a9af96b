"""How does everything come out that a person or a program reads?

The rules, for every command:

- Results go to stdout; prompts, notes, warnings and errors go to stderr, or to the terminal.
- Text from outside (a name, a path, the daemon's words) has its control characters escaped,
  so that a file's name can neither drive the terminal nor forge a line.
- Colour only on a terminal, and never with NO_COLOR (https://no-color.org).
- ``--json`` prints one JSON document in ASCII; each command's help lists its keys.
- An error is two lines, ``brokerctl: error: …`` and ``brokerctl: hint: …``, whatever it is.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

import click

from brokershim.errors import BrokerError


def safe(text: str) -> str:
    """Return text with every character escaped that is not plain to see.

    That is: control characters, bidirectional marks, and the half surrogates that stand for
    undecodable bytes in a path (Unicode's categories C* and Z*, except the space).
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def result(text: str, color: str | None = None) -> None:
    """Print one line of a result."""
    _print(sys.stdout, safe(text), color)


def document(value: Any) -> None:
    """Print a result as JSON."""
    _print(sys.stdout, json.dumps(value, indent=2, ensure_ascii=True))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """Print rows in columns, or say on stderr that there are none."""
    cells = [[safe(cell) for cell in row] for row in rows]
    if not cells:
        note(empty)
        return
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    _print(sys.stdout, _row([title.upper() for title in header], widths), "bright_black")
    for row in cells:
        _print(sys.stdout, _row(row, widths))


def facts(values: Mapping[str, str]) -> None:
    """Print a name and a value a line."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        result(f"{name.ljust(width)}  {value}")


def span(seconds: float) -> str:
    """Return a length of time for people, such as ``14m 59s``."""
    whole = max(0, int(seconds))
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"))
    text = [f"{value}{unit}" for value, unit in parts if value]
    if whole % 60 or not text:
        text.append(f"{whole % 60}s")
    return " ".join(text[:2])


def count(number: int, noun: str) -> str:
    """Return ``1 lease`` or ``2 leases``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def note(text: str) -> None:
    """Say something that is not the result."""
    _print(sys.stderr, f"brokerctl: {safe(text)}")


def progress(text: str) -> None:
    """Say what takes a while, where a person looks on."""
    if sys.stderr is not None and sys.stderr.isatty():
        note(text)


def warning(text: str) -> None:
    """Say that something is not as it should be."""
    _print(sys.stderr, f"brokerctl: warning: {safe(text)}", "yellow")


def error(problem: BrokerError) -> None:
    """Say what went wrong, and what to do next."""
    _print(sys.stderr, f"brokerctl: error: {safe(problem.message)}", "red")
    _print(sys.stderr, f"brokerctl: hint: {safe(problem.hint)}")


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def _print(stream: TextIO | None, text: str, color: str | None = None) -> None:
    if stream is None:  # it was closed before we began: nobody wants to know
        return
    text = text.encode(stream.encoding, "backslashreplace").decode(stream.encoding)
    if color and stream.isatty() and not os.environ.get("NO_COLOR"):
        text = click.style(text, fg=color)
    click.echo(text, file=stream)
