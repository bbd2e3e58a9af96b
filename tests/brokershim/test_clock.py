from __future__ import annotations

import time

import pytest

from brokershim import clock
from tests.support.require import require_linux


def test_it_is_the_clock_that_counts_sleep() -> None:
    require_linux()
    boot_time: int = getattr(time, "CLOCK_BOOTTIME")  # noqa: B009  (macOS has none)
    before = time.clock_gettime(boot_time)
    now = clock.now()
    assert before <= now <= time.clock_gettime(boot_time)


def test_setting_the_wall_clock_moves_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    first = clock.now()
    assert clock.now() - first < 5
