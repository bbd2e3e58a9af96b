"""What does an answer of a server hold? Nothing where it has another shape. (Pure.)"""

from __future__ import annotations

from typing import Any, cast

LARGEST = 2**53 - 1
"""The largest whole number that is taken from an answer."""


def part(answer: object, *keys: str) -> dict[str, Any]:
    """Return an object inside an answer; empty where there is none.

    Args:
        answer: What a library returned: an object, or whatever else the server sent.
        keys: The way to it, from the outside in.
    """
    found = answer
    for key in keys:
        found = cast("dict[str, Any]", found).get(key) if isinstance(found, dict) else None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def number(answer: object, key: str) -> int | None:
    """Return a whole number that stands in an answer; None where there is none.

    One that is too large for a double to hold is none (RFC 8259, section 6): added to a time, it
    would be an error of ours.
    """
    found = part(answer).get(key)
    if not isinstance(found, int) or isinstance(found, bool) or abs(found) > LARGEST:
        return None
    return found


def text(answer: object, key: str) -> str:
    """Return a text that stands in an answer; empty where there is none."""
    found = part(answer).get(key)
    return found if isinstance(found, str) else ""
