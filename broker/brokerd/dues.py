"""Is a login due, and has the person been told, once?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from brokerd.blocking import Blocking
from brokerd.identities.base import Standing
from brokerd.standings import Standings
from brokershim.errors import BrokerError

LOOK_SECONDS = 60.0
PAUSE_SECONDS = 3600.0
"""Until one that failed is looked at again: a keyring that is locked asks the person each time."""
_HOUR = 3600
_log = logging.getLogger(__name__)


class Dues:
    """Looks at the identities that a person logs in to, and tells the person what is due.

    Args:
        standings: The identities.
        blocking: Runs what may block.
        show: Tells the person; takes a title and a text, and may block.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    def __init__(
        self,
        standings: Standings,
        blocking: Blocking,
        show: Callable[[str, str], None],
        now: Callable[[], float],
    ) -> None:
        self._standings = standings
        self._blocking = blocking
        self._show = show
        self._now = now
        # Not at the start: the keyring of a desktop that comes up may still be locked.
        self._next = now() + LOOK_SECONDS
        self._seen: dict[str, str] = {}
        self._paused: dict[str, float] = {}
        self._look: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Begin to look, where it is time to and the last look has ended."""
        now = self._now()
        if now < self._next or (self._look is not None and not self._look.done()):
            return
        self._next = now + LOOK_SECONDS
        self._look = asyncio.get_running_loop().create_task(self._look_at_all())
        self._look.add_done_callback(_report)

    async def _look_at_all(self) -> None:
        now = self._now()
        asked = [name for name in self._standings.personal if self._paused.get(name, now) <= now]
        for name, standing in (await self._standings.of_all(asked)).items():
            if is_news(self._seen.get(name), standing.state):
                await self._tell(name, standing)
            if standing.state in ("ready", "due", "login"):
                self._seen[name] = standing.state
            if standing.state == "failed":
                self._paused[name] = now + PAUSE_SECONDS

    async def _tell(self, name: str, standing: Standing) -> None:
        try:
            await self._blocking.run("the desktop", self._show, "brokerctl", text(name, standing))
        except BrokerError as error:
            _log.warning("nobody could be told that a login is due: %s", error.message)


def _report(look: asyncio.Task[None]) -> None:
    """Say that a look failed, once; the next one is due in a minute all the same."""
    error = None if look.cancelled() else look.exception()
    if error is not None:
        # Not its text: it is a fault of ours, so nobody knows what is in it.
        _log.error("nobody knows whether a login is due: %s", type(error).__name__)


def is_news(seen: str | None, state: str) -> bool:
    """Return whether a person wants to hear of a state.

    Args:
        seen: The last of ``ready``, ``due`` and ``login`` that it was in; None if there was none.
        state: The one that it is in now.
    """
    # Who never logged in since the daemon started has not lost anything.
    return (state == "due" and seen != "due") or (state == "login" and seen in ("ready", "due"))


def text(name: str, standing: Standing) -> str:
    """Return the sentence that says what to do."""
    command = f"Type in a terminal: brokerctl login {name}"
    if standing.state == "login":
        return f"{name} needs a login now. {command}"
    if standing.until is None:
        return f"{name} will soon need a login. {command}"
    hours = int(standing.until // _HOUR)
    when = f"{hours} h" if hours else f"{max(1, int(standing.until // 60))} min"
    return f"{name} will need a login in {when}. {command}"
