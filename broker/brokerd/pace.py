"""After how long is something that failed tried again? (Pure.)"""

from __future__ import annotations

from collections.abc import Callable

LONGEST_SECONDS = 60.0
_DOUBLINGS = 10


def pause(failures: int, first: float, draw: Callable[[], float]) -> float:
    """Return the seconds to wait: twice as long each time, to a minute, and never quite the same.

    Without the jitter, everybody who failed together would come back together.

    Args:
        failures: How many there were in a row, at least 1.
        first: The pause after the first, in seconds, before jitter.
        draw: Gives a number from 0 to 1, at random.
    """
    longest = min(first * 2.0 ** min(failures - 1, _DOUBLINGS), LONGEST_SECONDS)
    return longest * (1 + draw()) / 2
