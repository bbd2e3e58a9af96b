"""How fast may AWS be asked? As it has shown: one bucket for each service, shared by all callers.

botocore's mode "adaptive" has a bucket for each client, and so for each set of credentials, and
waits for a place in it without end.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from typing import Any

_adaptive: Any = importlib.import_module("botocore.retries.adaptive")  # it carries no types
_bucket: Any = importlib.import_module("botocore.retries.bucket")
_standard: Any = importlib.import_module("botocore.retries.standard")
_throttling: Any = importlib.import_module("botocore.retries.throttling")
_exceptions: Any = importlib.import_module("botocore.exceptions")

WAIT_SECONDS = 5.0
"""How long a request waits for a place."""
QUIET_SECONDS = 60.0
"""After the last throttling, until nothing is held up any more: the bucket measures how fast we
ask, and so holds up the first burst after a quiet hour that AWS would take."""
_STEP_SECONDS = 0.05


class _Clock:
    """What botocore asks for the time; its own jumps with the wall clock."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.current_time = now


class Pace:
    """The pace of one service; nothing is held up unless it has throttled us a short while ago.

    Args:
        sleep: Waits, in seconds.
        now: The time, in seconds of some clock that does not jump.
    """

    def __init__(
        self,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        clock = _Clock(now)
        self._bucket = _bucket.TokenBucket(max_rate=1, clock=clock)
        self._sleep, self._now, self._until = sleep, now, -math.inf
        self._detector = _standard.ThrottlingErrorDetector(_standard.RetryEventAdapter())
        self._limiter = _adaptive.ClientRateLimiter(
            rate_adjustor=_throttling.CubicCalculator(0, clock.current_time()),
            rate_clocker=_adaptive.RateClocker(clock),
            token_bucket=self._bucket,
            throttling_detector=self._detector,
            clock=clock,
        )

    def keep(self, client: Any) -> None:
        """Hold up a client's requests as the service wants it."""
        client.meta.events.register("before-send", self._wait)
        client.meta.events.register("needs-retry", self._heard)

    def _heard(self, **answer: Any) -> None:
        self._limiter.on_receiving_response(**answer)
        if self._detector.is_throttling_error(**answer):
            self._until = self._now() + QUIET_SECONDS

    def _wait(self, **_: Any) -> None:
        """Wait for a place; raises botocore's ``CapacityNotAvailableError``."""
        waited = 0.0
        while self._now() < self._until:
            try:
                self._bucket.acquire(block=False)
            except _exceptions.CapacityNotAvailableError:
                if waited >= WAIT_SECONDS:
                    raise
            else:
                return
            self._sleep(_STEP_SECONDS)
            waited += _STEP_SECONDS
