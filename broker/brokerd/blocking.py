"""How does blocking code run without holding up the daemon, or one client the others?"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import ContextVar
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from brokershim.errors import BackendTimeout, BackendUnavailable

DEADLINE_SECONDS = 45.0
"""How long one blocking call may take; less than a client waits, so that it hears why."""
_THREADS = 32
_OF_A_SERVER = 20
"""Threads that each server may take besides, should it hang: 12 for keys (`asking`), 8 for what it
is to end (`upstream`). So three that hang, such as a region with three accounts, hold up nobody."""
_EACH = 2
"""Threads that the requests of one process may take: what they wait for may never answer, and a
hundred slow key derivations of one process must not stand before the one of another."""
_Result = TypeVar("_Result")
_client: ContextVar[int | None] = ContextVar("client", default=None)


def work_for(pid: int) -> None:
    """Say which process the current task works for; otherwise it is the daemon, without limit."""
    _client.set(pid)


class Blocking:
    """Threads for what may block: backends, the keyring, a slow key derivation.

    Args:
        deadline: How long one call may take, in seconds.
        servers: How many of the backends ask one.
    """

    def __init__(self, deadline: float = DEADLINE_SECONDS, servers: int = 0) -> None:
        self._deadline = deadline
        threads = _THREADS + servers * _OF_A_SERVER  # begun only as they are needed
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="brokerd-blocking")
        self._started: set[Future[Any]] = set()
        self._places: WeakValueDictionary[int, asyncio.Semaphore] = WeakValueDictionary()

    async def run(self, what: str, call: Callable[..., _Result], *args: object) -> _Result:
        """Return what a call returns.

        Args:
            what: Names the thing that is waited for, in the error.
            call: What to run.
            args: Its arguments.

        Raises:
            BackendTimeout: It took longer than the deadline. Its thread is left to end. With
                ``sent`` false in the details, there was no thread for it, and it never runs.
            BackendUnavailable: The daemon is stopping.
        """
        work: Future[_Result] | None = None
        try:
            async with asyncio.timeout(self._deadline):
                work = await self._submit(call, *args)
                return await asyncio.wrap_future(work)
        except TimeoutError:
            never_ran = work is None or work.cancelled()
            raise BackendTimeout(
                f"{what} did not answer in {self._deadline:.0f} s",
                details={"sent": False} if never_ran else None,
            ) from None

    async def _submit(self, call: Callable[..., _Result], *args: object) -> Future[_Result]:
        """Hand a call to a thread, once the client that it is for has one free.

        A thread is free when its call has ended, and not when nobody waits for it any more.
        """
        pid = _client.get()
        if pid is None:
            return self._start(call, *args)
        place = self._places.setdefault(pid, asyncio.Semaphore(_EACH))
        await place.acquire()
        loop = asyncio.get_running_loop()

        def ended(_: Future[_Result]) -> None:
            with contextlib.suppress(RuntimeError):  # the daemon has ended, and its loop with it
                loop.call_soon_threadsafe(place.release)

        work = self._start(call, *args)
        work.add_done_callback(ended)
        return work

    def _start(self, call: Callable[..., _Result], *args: object) -> Future[_Result]:
        try:
            work = self._executor.submit(call, *args)
        except RuntimeError:  # closed, while the request waited for its place
            raise BackendUnavailable("the daemon is stopping", hint="try again") from None
        self._started.add(work)
        work.add_done_callback(self._started.discard)
        return work

    async def settle(self, seconds: float) -> None:
        """Wait a while for the calls so far, also those that nobody waits for any more.

        A login whose refresh token a provider has just replaced would be lost before the new one
        is kept.
        """
        await asyncio.to_thread(wait, self._started.copy(), seconds)

    def close(self) -> None:
        """Take no more calls; what hangs is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)
