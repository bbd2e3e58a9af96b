"""How do many threads that want the same thing make one attempt at it?"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from brokershim.errors import BackendUnavailable, BrokerError

_Result = TypeVar("_Result")


class Flight(Generic[_Result]):
    """One attempt at a time; who comes while it is under way gets what it brings, or its error.

    So a hundred callers of a server that hangs wait for it once, and not one after the other.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: Future[_Result] | None = None

    def join(self, attempt: Callable[[], _Result]) -> _Result:
        """Return what the attempt that is under way brings, or else make this one.

        Args:
            attempt: It looks itself whether it is still needed: another may have just ended.

        Raises:
            BrokerError: The attempt's, in every thread that joined it.
            BackendUnavailable: It ended in a fault of ours, which the thread that made it raises.
        """
        with self._lock:
            flight, mine = self._under_way, self._under_way is None
            if flight is None:
                flight = self._under_way = Future()
        if mine:
            settle(flight, lambda: self._flown(attempt))
        return flight.result()

    def _flown(self, attempt: Callable[[], _Result]) -> _Result:
        try:
            return attempt()
        finally:
            with self._lock:
                self._under_way = None


def settle(future: Future[_Result], attempt: Callable[[], _Result]) -> None:
    """Give to all who wait what an attempt brings, or its error.

    What is no `BrokerError` is a fault of ours, which goes on in this thread; the others hear of a
    `BackendUnavailable`.
    """
    try:
        future.set_result(attempt())
    except BrokerError as error:
        future.set_exception(error)
    finally:
        if not future.done():
            # Not cancelled: to who awaits one of the other threads, that would look like its own
            # end, and it would give no reply.
            future.set_exception(BackendUnavailable("what was waited for has failed"))
