"""Whose turn is it to log in? One login of an identity at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from brokerd.identities.base import Login
from brokerd.identities.oidc.clocks import Clocks
from brokershim.errors import LoginUnderWay

_BEGIN_SECONDS = 60.0
_GRACE_SECONDS = 60.0
"""For what follows once the person is done: the provider's answer, the keyring."""


@dataclass
class _Taken:
    until: float
    login: Login | None = None


class Turn:
    """Lets one login begin, and the next once that is over or has taken too long.

    Args:
        name: The identity's name.
        clocks: What time it is.
    """

    def __init__(self, name: str, clocks: Clocks) -> None:
        self._name, self._clocks = name, clocks
        self._lock = threading.Lock()
        self._taken: _Taken | None = None

    def take(self, begin: Callable[[Callable[[], None]], Login]) -> Login:
        """Return a login that has begun.

        Args:
            begin: Begins it; is given what the login calls when it is over.

        Raises:
            LoginUnderWay: Another one is under way.
        """
        taken = self._enter()

        def over() -> None:
            self._leave(taken)

        with ExitStack() as stack:
            stack.callback(over)
            taken.login = login = begin(over)
            taken.until = self._clocks.boot() + login.seconds + _GRACE_SECONDS
            stack.pop_all()
        return login

    def _enter(self) -> _Taken:
        now = self._clocks.boot()
        with self._lock:
            before = self._taken
            if before is not None and now < before.until:
                raise LoginUnderWay(f"somebody is logging in to {self._name} already")
            self._taken = taken = _Taken(now + _BEGIN_SECONDS)
        if before is not None and before.login is not None:
            before.login.cancel()  # begun, and then forgotten by who began it
        return taken

    def _leave(self, taken: _Taken) -> None:
        with self._lock:
            if self._taken is taken:
                self._taken = None
