"""How is a person waited for who logs in at another screen? (RFC 8628, section 3.5.)"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from brokerd.identities.base import Standing
from brokerd.identities.oidc import ways
from brokerd.identities.oidc.clocks import Clocks

LONGEST_INTERVAL = 60.0
_LONGEST_SECONDS = 900.0
_MORE_SECONDS = 5.0
"""What ``slow_down`` adds to the interval."""
_Found = TypeVar("_Found")


class Patience:
    """Asks, again and again, whether the person is done, until they are, give up, or are too late.

    Attributes:
        seconds: How long they have.
        interval: Seconds from one question to the next.
        given_up: Set once they give up.

    Args:
        seconds: How long the server lets them have.
        interval: How often it wants to be asked.
        over: Called once, when it is over.
        clocks: What time it is.
    """

    def __init__(
        self, seconds: float, interval: float, over: Callable[[], None], clocks: Clocks
    ) -> None:
        self.seconds, self.interval = min(seconds, _LONGEST_SECONDS), interval
        self.given_up, self._running = threading.Event(), False
        self._over, self._clocks = over, clocks
        self._until = clocks.boot() + self.seconds

    def run(self, ask: Callable[[], _Found | None], take: Callable[[_Found], Standing]) -> Standing:
        """Return what comes of the login.

        Args:
            ask: Asks once; returns None where the person is not done.
            take: Takes in what the login brings.

        Raises:
            LoginRefused: It was given up, or nobody finished it in time.
            BrokerError: As ``ask`` and ``take``.
        """
        self._running = True
        try:
            return take(self._waited(ask))
        finally:
            self._over()

    def cancel(self) -> None:
        """Give it up."""
        self.given_up.set()
        if not self._running:
            self._over()

    def slower(self, interval: float | None = None) -> None:
        """Ask less often from now on, and never more often.

        Args:
            interval: Seconds from one question to the next; five more than before if None.
        """
        wanted = self.interval + _MORE_SECONDS if interval is None else interval
        self.interval = min(max(wanted, self.interval), LONGEST_INTERVAL)

    def _waited(self, ask: Callable[[], _Found | None]) -> _Found:
        while self._clocks.boot() + self.interval < self._until:
            if self._clocks.wait(self.given_up, self.interval):
                raise ways.given_up()
            found = ask()
            if found is not None:
                return found
        raise ways.too_late(self.seconds)
