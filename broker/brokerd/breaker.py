"""Is a backend asked at all, after it failed several times in a row? (The time is passed in.)

    closed ──3 failures, or told to pause──> open ──its pause is over──> half-open
       ^                                      ^                             │
       └───────────── it answers ─────────────┼──────── one probe ──────────┘
                                              └──── the probe fails, and the pause doubles

What counts is a server that is away. One that answers, if only to refuse, is there; any other
failure, such as a login that is due, tells nothing of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from brokerd.pace import pause
from brokershim.errors import (
    BackendRefused,
    BackendTimeout,
    BrokerError,
    NotFound,
    RateLimited,
    ServerDown,
)

_TOLERATED = 3
_FIRST_SECONDS = 5.0
_AWAY = (ServerDown, BackendTimeout)


@dataclass(frozen=True)
class Health:
    """How a backend fares.

    Attributes:
        state: ``closed``: it is asked; ``open``: it is left alone; ``half-open``: one request
            tries whether it is back.
        failures: How many there were in a row.
        retry_in: Seconds until it is asked again; None unless open.
        reason: What failed last; empty once it has answered.
    """

    state: Literal["closed", "open", "half-open"]
    failures: int
    retry_in: float | None
    reason: str


class Breaker:
    """Spares a backend that is away, and spares who asks the wait for it.

    Args:
        name: The backend's, for messages.
        draw: Gives a number from 0 to 1, at random, for the jitter.
    """

    def __init__(self, name: str, draw: Callable[[], float] = random.random) -> None:
        self._name = name
        self._draw = draw
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False
        self._reason = ""

    @contextmanager
    def attempt(self, now: Callable[[], float], *, proves: bool = True) -> Generator[None]:
        """Let the backend be asked within, and learn from how that ends.

        Args:
            now: The time, in seconds of `brokershim.clock.now`.
            proves: Whether an end without an error says that it is there. It does not where a
                server may not have been asked at all.

        Raises:
            ServerDown: It is not asked now; the message says for how long, and why.
        """
        probe = self._admit(now())
        try:
            yield
        except _AWAY as error:
            self._failed(error, now(), probe)
            raise
        except (BackendRefused, NotFound):
            self._answered()
            raise
        else:
            if proves:
                self._answered()
        finally:
            if probe:  # also where it was cancelled, which tells nothing
                self._probing = False

    def health(self, now: float) -> Health:
        """Return how the backend fares."""
        if self._open_until is None:
            return Health("closed", self._failures, None, self._reason)
        left = self._open_until - now
        if left <= 0:
            return Health("half-open", self._failures, None, self._reason)
        return Health("open", self._failures, round(left, 1), self._reason)

    def _admit(self, now: float) -> bool:
        """Return whether this attempt is the probe."""
        if self._open_until is None:
            return False
        left = self._open_until - now
        if left > 0 or self._probing:
            when = f"in {left:.0f} s" if left > 0 else "just now"
            raise ServerDown(
                f"{self._name} is away ({self._reason}); it is asked again {when}",
                details={"retry_in": max(round(left, 1), 0.0), "sent": False},
            )
        self._probing = True
        return True

    def _failed(self, error: BrokerError, now: float, probe: bool) -> None:
        told = error.details.get("retry_after") if isinstance(error, RateLimited) else None
        if self._open_until is not None and not probe and told is None:
            return  # begun before it opened: many that fail together are one failure
        self._failures += 1
        self._reason = error.message
        if told is not None:
            self._open_until = max(now + told, self._open_until or now)
        elif isinstance(error, RateLimited) or self._failures >= _TOLERATED:
            beyond = max(self._failures - _TOLERATED, 0) + 1
            self._open_until = now + pause(beyond, _FIRST_SECONDS, self._draw)

    def _answered(self) -> None:
        self._failures, self._open_until, self._reason = 0, None, ""
