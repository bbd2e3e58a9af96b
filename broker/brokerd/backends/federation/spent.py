"""Has a token been sent to that server before?

An issuer's tokens may be good for one exchange only (the single-use ``jti`` of RFC 7523, section
3): sent a second time, one is refused at best, and taken for a stolen one at worst.
"""

from __future__ import annotations

import hashlib
import threading

from brokerd.identities.base import Token

_MOST = 4096
"""Tokens that are remembered; then those that were sent first are forgotten."""


class Spent:
    """The tokens that were sent, each by a hash, until it is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[bytes, float] = {}

    def claim(self, endpoint: str, token: Token, now: float) -> bool:
        """Return whether it was never claimed for that endpoint; from now on it is.

        Args:
            endpoint: Where it is to be sent.
            token: The token.
            now: The time, in seconds of `brokershim.clock.now`.
        """
        mark = _mark(endpoint, token)
        with self._lock:
            self._until = {each: until for each, until in self._until.items() if until > now}
            if mark in self._until:
                return False
            self._until[mark] = token.expires_at
            if len(self._until) > _MOST:
                del self._until[next(iter(self._until))]
            return True

    def give_back(self, endpoint: str, token: Token) -> None:
        """Take in that it was not sent after all."""
        with self._lock:
            self._until.pop(_mark(endpoint, token), None)


def _mark(endpoint: str, token: Token) -> bytes:
    return hashlib.sha256(f"{endpoint} {token.value}".encode()).digest()
