"""How does a person log in at IAM Identity Center? On a page, and we ask until they are done.

RFC 8628, as its OIDC API has it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from brokerd.backends.aws.login.granted import Registered, Tokens
from brokerd.backends.aws.login.portal import Portal, Waiting
from brokerd.identities.base import Standing
from brokerd.identities.oidc.clocks import Clocks
from brokerd.identities.oidc.patience import LONGEST_INTERVAL, Patience
from brokershim.errors import BackendTimeout, RateLimited

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
        self._portal, self._take = portal, take
        self._us = portal.register()
        self._device = portal.begin(self._us)
        self.url = self._device.url
        self.user_code: str | None = self._device.user_code
        interval = min(self._device.interval, LONGEST_INTERVAL)
        self._patience = Patience(self._device.seconds, interval, over, clocks)
        self.seconds = self._patience.seconds

    def run(self) -> Standing:
        """Ask, again and again, whether the person is done. Raises as `Login.run`."""
        waits = self._patience
        return waits.run(self._asked, lambda found: self._take(self._us, found, waits.given_up))

    def cancel(self) -> None:
        """Give it up."""
        self._patience.cancel()

    def _asked(self) -> Tokens | None:
        try:
            found = self._portal.finished(self._us, self._device)
        except (RateLimited, BackendTimeout):
            found = Waiting.SLOWER
        if found is Waiting.SLOWER:
            self._patience.slower()
        return found if isinstance(found, Tokens) else None
