"""A backend that hangs, and many who ask it: what is left for others, and who waits how long?"""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

from brokerd.asking import Asking
from brokerd.blocking import Blocking
from brokerd.breaker import Breaker
from brokershim import clock
from brokershim.errors import BackendTimeout
from tests.support.serving import in_a_loop, until

_MANY = 60


class Hanging:
    """Takes each request, and answers none until it is let go.

    Attributes:
        begun: How many came.
        gate: Set to let go of them.
    """

    def __init__(self) -> None:
        self.begun = 0
        self.gate = threading.Event()

    def newest(self, name: str) -> str:
        self.begun += 1
        self.gate.wait(10)
        raise BackendTimeout(f"no answer for {name}")


@in_a_loop
async def test_a_backend_that_hangs_leaves_room_for_others_and_keeps_nobody_for_long() -> None:
    backend, blocking, nobody = Hanging(), Blocking(), cast("Any", None)
    backends = cast("Any", {"slow": backend})
    asking = Asking(backends, {"slow": Breaker("slow")}, blocking, nobody, nobody, clock.now)
    asked = [asyncio.create_task(asking.newest("slow", "a")) for _ in range(_MANY)]
    try:
        await until(lambda: backend.begun > 1)
        assert await asyncio.wait_for(blocking.run("another", lambda: 7), 5) == 7
    finally:
        backend.gate.set()
    failures = await asyncio.gather(*asked, return_exceptions=True)
    kinds = [getattr(each, "kind", None) for each in failures]
    assert kinds.count("backend.timeout") == backend.begun < _MANY / 2
    assert kinds.count("backend.down") == _MANY - backend.begun  # by the breaker, and at once
    blocking.close()


@in_a_loop
async def test_however_many_backends_hang_the_daemon_goes_on() -> None:
    backend, nobody, names = Hanging(), cast("Any", None), ["a", "b", "c", "d"]
    blocking = Blocking(servers=len(names))
    backends = cast("Any", dict.fromkeys(names, backend))
    breakers = {name: Breaker(name) for name in names}
    asking = Asking(backends, breakers, blocking, nobody, nobody, clock.now)
    asked = [asyncio.create_task(asking.newest(each, "x")) for each in names * _MANY]
    try:
        await until(lambda: backend.begun >= len(names) * 12)
        assert await asyncio.wait_for(blocking.run("another", lambda: 7), 5) == 7
    finally:
        backend.gate.set()
    await asyncio.gather(*asked, return_exceptions=True)
    blocking.close()
