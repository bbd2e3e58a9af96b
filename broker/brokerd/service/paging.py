"""How is a list that may be long cut into replies that fit a line? (Pure.)"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from brokershim.errors import InvalidParams
from brokershim.wire import MAX_LINE

_ROOM = MAX_LINE // 2
"""Bytes of rows in one page: well under a line, whatever the last row adds."""
_DIGITS = 18
_Entry = TypeVar("_Entry")


def number_of(after: str | None) -> int:
    """Return the number that a page begins after.

    Raises:
        InvalidParams: It is not what an earlier page's ``next`` said.
    """
    if after is None:
        return 0
    if not after.isascii() or not after.isdigit() or len(after) > _DIGITS:
        raise InvalidParams("after is not the next of an earlier page")
    return int(after)


def page(
    key: str,
    entries: Iterable[_Entry],
    row: Callable[[_Entry], dict[str, Any]],
    cursor: Callable[[_Entry], str],
) -> dict[str, Any]:
    """Return the reply with as many entries as fit; ``next`` is null when that was all.

    Args:
        key: The list's name in the reply.
        entries: What is left, in order.
        row: Gives an entry's row.
        cursor: Gives what `after` has to be to go on behind an entry.
    """
    rows: list[dict[str, Any]] = []
    room, last = _ROOM, ""
    for entry in entries:
        if room <= 0:
            return {key: rows, "next": last}
        rows.append(row(entry))
        room -= len(json.dumps(rows[-1]))
        last = cursor(entry)
    return {key: rows, "next": None}
