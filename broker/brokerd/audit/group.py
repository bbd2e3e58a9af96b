"""How do many events share one wait for the disk?

The sync runs on the event loop itself: handing it to a thread costs more than it takes, and while
the disk stalls no key may be given out anyhow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from brokerd.audit.line import AuditHead, Field
from brokerd.audit.log import AuditLog
from brokershim.errors import AuditUnavailable


class GroupCommit:
    """Records events so that one sync covers all of an event loop's turn.

    Args:
        log: Where they go.
        alone: Whether nothing else is under way that could share a sync. There is then nobody to
            wait for, and the two turns of the loop that waiting takes are saved.
    """

    def __init__(self, log: AuditLog, alone: Callable[[], bool] = lambda: False) -> None:
        self._log = log
        self._alone = alone
        self._waiting: list[asyncio.Future[None]] = []

    async def record(self, event: str, **fields: Field) -> AuditHead:
        """Put an event on record; once this returns, it is on disk.

        Args:
            event: Such as ``lease.granted``.
            fields: See `AuditLog.append`.

        Returns:
            Where the log stands with it.

        Raises:
            AuditUnavailable: It is not on record.
            ValueError, TypeError: A field cannot be written; see `brokerd.audit.line.seal`.
        """
        head = self._log.append(event, **fields)
        if not self._waiting and self._alone():
            self._log.sync()
            return head
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._flush)
        # One future each: a caller that is cancelled must not take the others' away.
        written = loop.create_future()
        self._waiting.append(written)
        await written
        return head

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        failure = self._sync()
        for written in waiting:
            if written.done():  # cancelled
                continue
            if failure is None:
                written.set_result(None)
            else:
                written.set_exception(AuditUnavailable(failure.message, hint=failure.hint))

    def _sync(self) -> AuditUnavailable | None:
        try:
            self._log.sync()
        except AuditUnavailable as error:
            return error
        return None
