"""How often is a key that its provider refuses replaced by another? (The time is passed in.)

A program that is refused whatever key it has must not make every call cost an exchange.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from brokerd.pace import pause
from brokershim.errors import BackendUnavailable

_SOON_SECONDS = 60.0
"""A key that is refused at this age or later had worked before."""
_TOLERATED = 3
_FIRST_SECONDS = 5.0


@dataclass
class _Row:
    last: float
    count: int = 0
    until: float = float("-inf")


class Rejections:
    """Counts keys that were refused soon after they came, one after the other.

    Args:
        draw: Gives a number from 0 to 1, at random, for the jitter.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._rows: dict[Hashable, _Row] = {}

    def add(self, key: Hashable, age: float, now: float) -> None:
        """Take in that a provider refused a key.

        Args:
            key: Which one it is.
            age: Seconds since it came.
            now: The time, in seconds of `brokershim.clock.now`.
        """
        self._forget_old(now)
        row = self._rows.get(key)
        if row is None or age >= _SOON_SECONDS or now - row.last > 2 * _SOON_SECONDS:
            row = self._rows[key] = _Row(now)
        row.last, row.count = now, row.count + 1
        if row.count > _TOLERATED:
            row.until = now + pause(row.count - _TOLERATED, _FIRST_SECONDS, self._draw)

    def check(self, key: Hashable, name: str, now: float) -> None:
        """Let a key be fetched, unless its provider refused too many of them just now.

        Raises:
            BackendUnavailable: It did; the message says when the next one may be fetched.
        """
        row = self._rows.get(key)
        if row is not None and now < row.until:
            raise BackendUnavailable(
                f"the provider refused {row.count} keys of {name} in a row; the next one is "
                f"fetched in {row.until - now:.0f} s at the earliest",
                hint="see at the provider what its keys may do",
            )

    def _forget_old(self, now: float) -> None:
        """Drop what no pause follows from any more: some keys are of one process each."""
        self._rows = {
            key: row
            for key, row in self._rows.items()
            if now < max(row.until, row.last + 2 * _SOON_SECONDS)
        }
