"""Which clocks does a login go by? Passed in, so that no test has to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from brokershim import clock


@dataclass(frozen=True)
class Clocks:
    """The time, and how it is waited.

    Attributes:
        boot: Seconds of a clock that nobody sets, for lives and pauses.
        wall: Seconds since 1970, for what a token or the keyring says.
        wait: Waits for an event, some seconds at most; returns whether it came.
    """

    boot: Callable[[], float] = clock.now
    wall: Callable[[], float] = time.time
    wait: Callable[[threading.Event, float], bool] = threading.Event.wait
