"""Which refusals go into the audit? All of them, unless somebody floods us with them."""

from __future__ import annotations

import logging
from collections.abc import Callable

from brokerd.audit.group import GroupCommit
from brokershim.errors import AuditUnavailable, BrokerError

_BURST = 50.0
_PER_SECOND = 5.0
_log = logging.getLogger(__name__)


class Refusals:
    """Audits refusals, at a bounded rate: a flood must not fill the disk.

    What is left out is counted, and the next refusal that is written says how many.

    Args:
        audit: Where they go.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    def __init__(self, audit: GroupCommit, now: Callable[[], float]) -> None:
        self._audit = audit
        self._now = now
        self._tokens = _BURST
        self._since = now()
        self._left_out = 0

    async def record(
        self, error: BrokerError, event: str = "request.refused", **facts: str | int
    ) -> None:
        """Write down one refusal. It stands, whether or not it can be written."""
        if not self._take():
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        try:
            await self._audit.record(event, kind=error.kind, left_out=left_out, **facts)
        except AuditUnavailable as unwritten:
            _log.error("a refusal is not in the audit: %s", unwritten)

    def _take(self) -> bool:
        now = self._now()
        self._tokens = min(_BURST, self._tokens + (now - self._since) * _PER_SECOND)
        self._since = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
