"""How does a person give the code of their MFA device? They type it where they began the login."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable

from brokerd.identities.base import Standing
from brokerd.identities.oidc import ways
from brokerd.identities.oidc.clocks import Clocks
from brokerd.identities.oidc.course import LOGIN_SECONDS
from brokershim.errors import UsageError

_CODE = re.compile(r"[0-9]{6}", re.ASCII)
Take = Callable[[str, threading.Event], Standing]
"""Logs in with a code; is told whether the login was given up meanwhile."""


class CodeLogin:
    """One login that waits for a code.

    Args:
        serial: The device's, which the person knows.
        take: Logs in with the code.
        over: Called once, when it is over.
        clocks: What time it is.
    """

    url, seconds = "", LOGIN_SECONDS

    def __init__(self, serial: str, take: Take, over: Callable[[], None], clocks: Clocks) -> None:
        self.user_code: str | None = None
        self.asks = f"MFA code of {serial}"
        self._take, self._over, self._clocks = take, over, clocks
        self._moved, self._given_up = threading.Event(), threading.Event()
        self._code: str | None = None
        self._running = False

    def answer(self, value: str) -> None:
        """Go on with a code, the first that is given.

        Raises:
            UsageError: It is none.
        """
        code = value.replace(" ", "")
        if not _CODE.fullmatch(code):
            raise UsageError("that is no code of six digits", hint="read it off the device")
        if self._code is None:
            self._code = code
            self._moved.set()

    def run(self) -> Standing:
        """Wait for the code, and log in with it. Raises as `Login.run`."""
        self._running = True
        try:
            self._clocks.wait(self._moved, self.seconds)
            if self._given_up.is_set():
                raise ways.given_up()
            if self._code is None:
                raise ways.too_late(self.seconds)
            return self._take(self._code, self._given_up)
        finally:
            self._over()

    def cancel(self) -> None:
        """Give it up."""
        self._given_up.set()
        self._moved.set()
        if not self._running:
            self._over()
