"""Which files make up the log, and what lines do they hold?

``audit-000001.jsonl`` and so on; the chain runs on from one file into the next.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import BinaryIO

from brokerd.audit.line import MAX_LINE

_NAME = re.compile(r"audit-([0-9]{6,})\.jsonl")


def name_of(number: int) -> str:
    """Return the name of the log's file of that number, from 1."""
    return f"audit-{number:06d}.jsonl"


def path_of(folder: str, number: int) -> str:
    """Return the path of the log's file of that number, from 1."""
    return os.path.join(folder, name_of(number))


def number_of(name: str) -> int | None:
    """Return which of the log's files goes by a name; None if it is none of them."""
    found = _NAME.fullmatch(name)
    if found is None or name_of(int(found[1])) != name:
        return None
    return int(found[1])


def numbers(folder: str) -> list[int]:
    """Return the numbers of the files that are there, in order.

    Raises:
        OSError: The folder cannot be listed.
    """
    found = (number_of(name) for name in os.listdir(folder))
    return sorted(number for number in found if number is not None)


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file's lines with their line feeds; only the last may lack its own.

    Of a line over `MAX_LINE` bytes only the begin is yielded, too long to pass for an event: a
    file without line feeds must not fill the memory.

    Raises:
        OSError: The file cannot be read.
    """
    while line := file.readline(MAX_LINE + 1):
        rest = line
        while len(rest) > MAX_LINE and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE + 1)
        yield line if line is rest else line[:MAX_LINE] + b"\n"
