"""What time is it, for a lease? Seconds on a clock that sleep does not stop."""

from __future__ import annotations

import time

# clock_gettime(2): Linux's CLOCK_MONOTONIC stands still while the machine sleeps, so a lease
# would outlive its time by a night. macOS's counts sleep, and there is no CLOCK_BOOTTIME.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Return seconds since boot, sleep included."""
    return time.clock_gettime(_CLOCK)
