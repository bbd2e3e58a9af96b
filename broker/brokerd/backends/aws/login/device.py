"""How does a person log in at IAM Identity Center? On a page, and we ask until they are done.

RFC 8628, as its OIDC API has it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from brokerd.backends.aws.login.granted import Registered, Tokens
from brokerd.backends.aws.login.portal import Portal, Waiting
from brokerd.identities.base import Standing
from brokerd.identities.oidc import ways
from brokerd.identities.oidc.clocks import Clocks
from brokershim.errors import BackendTimeout, RateLimited

_MORE_SECONDS = 5.0
"""What a plea to slow down adds to the interval (RFC 8628, section 3.5)."""
_LONGEST_INTERVAL = 60.0
_LONGEST_SECONDS = 900.0
Take = Callable[[Registered, Tokens, threading.Event], Standing]
"""Takes in what a login brought, and whether it was given up meanwhile."""


class DeviceLogin:
    """One login that waits for a person at a page.

    Args:
        portal: Where.
        take: Takes in what it brings.
        over: Called once, when it is over.
        clocks: What time it is.

    Raises:
        BrokerError: As `Portal.register` and `Portal.begin`.
    """

    def __init__(
        self, portal: Portal, take: Take, over: Callable[[], None], clocks: Clocks
    ) -> None:
        self._portal, self._take, self._over, self._clocks = portal, take, over, clocks
        self._given_up, self._running = threading.Event(), False
        self._us = portal.register()
        self._device = portal.begin(self._us)
        self.url = self._device.url
        self.user_code: str | None = self._device.user_code
        self.seconds = min(self._device.seconds, _LONGEST_SECONDS)
        self._interval = min(self._device.interval, _LONGEST_INTERVAL)
        self._until = clocks.boot() + self.seconds

    def run(self) -> Standing:
        """Ask, again and again, whether the person is done. Raises as `Login.run`."""
        self._running = True
        try:
            return self._take(self._us, self._asked(), self._given_up)
        finally:
            self._over()

    def cancel(self) -> None:
        """Give it up."""
        self._given_up.set()
        if not self._running:
            self._over()

    def _asked(self) -> Tokens:
        while self._clocks.boot() + self._interval < self._until:
            if self._clocks.wait(self._given_up, self._interval):
                raise ways.given_up()
            found = self._once()
            if found is not None:
                return found
        raise ways.too_late(self.seconds)

    def _once(self) -> Tokens | None:
        try:
            found = self._portal.finished(self._us, self._device)
        except (RateLimited, BackendTimeout):
            found = Waiting.SLOWER
        if found is Waiting.SLOWER:
            self._interval = min(self._interval + _MORE_SECONDS, _LONGEST_INTERVAL)
        return found if isinstance(found, Tokens) else None
