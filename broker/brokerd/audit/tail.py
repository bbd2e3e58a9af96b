"""Where does the log that is on disk end, and did it end well?

A last line without a line feed was never synced, so no key was given out for it: it is cut off.
Anything else that is wrong may be evidence: it is named, and left as it is.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from brokerd.audit.anchor import damaged
from brokerd.audit.chain import Chain, Witness
from brokerd.audit.line import MAX_LINE, START, AuditHead, unseal
from brokerd.audit.segments import numbers, path_of
from brokershim.ownership import open_private

_LOOK_BACK = 8 * MAX_LINE
"""Bytes at the end of a file that are looked at; `brokerd.audit.verify` looks at all."""


class End(NamedTuple):
    """Where a log ends.

    Attributes:
        number: The last file's number.
        whole: Bytes of whole lines in it.
        torn: Bytes of a torn line after them.
        head: Where the log stands.
    """

    number: int
    whole: int
    torn: int
    head: AuditHead


class _Tail(NamedTuple):
    number: int
    path: str
    start: int
    """Where in the file the first line begins."""
    lines: list[bytes]
    torn: int


def find_end(folder: str, anchor: AuditHead) -> End:
    """Return where a log ends, by its last lines and by its anchor.

    Raises:
        AuditUnavailable: A whole line is damaged or out of place, or lines that the anchor knows
            are missing.
        InsecurePath: See `brokershim.ownership.open_private`.
        OSError: A file cannot be read.
    """
    tails = _tails(folder)
    chain = Chain(Witness("the anchor", anchor), start=_start(tails))
    for tail in tails:
        _follow(chain, tail)
    for problem in chain.end():
        raise damaged(folder, problem)
    if not tails:
        return End(1, 0, 0, chain.head)
    last = tails[-1]
    whole = last.start + sum(len(line) + 1 for line in last.lines)
    return End(last.number, whole, last.torn, chain.head)


def _tails(folder: str) -> list[_Tail]:
    """Return the tail of the last file, and before it the last but one's where it adjoins."""
    last = max(numbers(folder), default=0)
    if not last:
        return []
    tail = _tail(folder, last)
    return [_tail(folder, last - 1), tail] if last > 1 and not tail.start else [tail]


def _tail(folder: str, number: int) -> _Tail:
    path = path_of(folder, number)
    fd = open_private(path)
    try:
        start = max(0, os.fstat(fd).st_size - _LOOK_BACK)
        *lines, torn = os.pread(fd, _LOOK_BACK, start).split(b"\n")
    finally:
        os.close(fd)
    if start and lines:
        start += len(lines.pop(0)) + 1  # the end of a line, most likely
    if len(torn) >= MAX_LINE or (start and not lines):
        raise damaged(path, "it ends in what is no event")
    return _Tail(number, path, start, lines, len(torn))


def _start(tails: list[_Tail]) -> AuditHead:
    """Return where the log stood before the first line that is looked at."""
    lines = [(tail, line) for tail in tails for line in tail.lines]
    if not lines or (tails[0].number == 1 and tails[0].start == 0):
        return START
    tail, line = lines[0]
    try:
        event = unseal(line)
    except ValueError as error:
        raise damaged(_place(tail, 0), str(error)) from None
    return AuditHead(event["seq"] - 1, event["prev"])


def _follow(chain: Chain, tail: _Tail) -> None:
    for index, line in enumerate(tail.lines):
        for problem in chain.take(line):
            raise damaged(_place(tail, index), problem)


def _place(tail: _Tail, index: int) -> str:
    """Return the path and line number of a line of the tail."""
    with open(open_private(tail.path), "rb") as file:
        before = file.read(tail.start).count(b"\n")
    return f"{tail.path} line {before + index + 1}"
