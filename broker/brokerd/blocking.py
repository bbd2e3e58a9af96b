"""How does blocking code run without holding up the daemon?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from brokershim.errors import BackendTimeout

DEADLINE_SECONDS = 45.0
"""How long one blocking call may take; less than a client waits, so that it hears why."""
_THREADS = 8
_Result = TypeVar("_Result")


class Blocking:
    """Threads for what may block: backends, the keyring, a slow key derivation."""

    def __init__(self, deadline: float = DEADLINE_SECONDS) -> None:
        self._deadline = deadline
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="brokerd-blocking")

    async def run(self, what: str, call: Callable[..., _Result], *args: object) -> _Result:
        """Return what a call returns.

        Args:
            what: Names the thing that is waited for, in the error.
            call: What to run.
            args: Its arguments.

        Raises:
            BackendTimeout: It took longer than the deadline. Its thread is left to end.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._deadline):
                return await loop.run_in_executor(self._executor, call, *args)
        except TimeoutError:
            raise BackendTimeout(f"{what} did not answer in {self._deadline:.0f} s") from None

    def close(self) -> None:
        """Take no more calls; what hangs is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)
