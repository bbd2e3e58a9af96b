"""How long is "15m"? (Pure.)"""

from __future__ import annotations

import re

from brokershim.errors import UsageError

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}
_DURATION = re.compile(r"([0-9]{1,6})(s|m|h|)")
LONGEST = 24 * 3600
"""The longest lease that can be configured, in seconds."""


def seconds(text: str) -> int:
    """Return the seconds that ``90``, ``90s``, ``15m`` or ``1h`` means.

    Raises:
        UsageError: It is no such text, is zero, or is over a day.
    """
    match = _DURATION.fullmatch(text.strip())
    value = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < value <= LONGEST:
        raise UsageError("not a duration between 1s and 24h", hint="write it like 90s, 15m or 1h")
    return value


def text(value: float) -> str:
    """Return seconds as the shortest text that `seconds` reads back."""
    whole = int(value)
    for unit, size in (("h", 3600), ("m", 60)):
        if whole % size == 0 and whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"
