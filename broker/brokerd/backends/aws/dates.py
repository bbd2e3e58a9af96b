"""When was an answer sent, by the clock of who sent it? (RFC 9110, section 6.6.1; pure.)"""

from __future__ import annotations

from email.utils import parsedate_to_datetime


def sent_at(date: object) -> float | None:
    """Return that in seconds since 1970, to about a second; None where the answer does not say.

    Args:
        date: Its ``Date``, if it has one.
    """
    try:
        return parsedate_to_datetime(str(date)).timestamp()
    except (ValueError, OverflowError):
        return None
