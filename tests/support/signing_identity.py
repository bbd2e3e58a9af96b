"""An identity that signs what it is told to, in the test's own process."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any

from brokerd.identities.base import Standing, Token
from brokershim import clock
from tests.support.jwks import Issuer

SUBJECT = "system:serviceaccount:apps:worker"


class SigningIdentity:
    """Each token is a new one, unless told otherwise.

    Attributes:
        claims: Claims that take the place of its own; None leaves one out.
        life: Seconds that its tokens live.
        repeat: Whether it gives the last token once more.
        failure: What `token` raises.
        login: What `revision` gives.
        audiences: What it was asked for.
    """

    kind = "signing"

    def __init__(
        self, issuer: Issuer, name: str = "work", now: Callable[[], float] = clock.now
    ) -> None:
        self.name, self._issuer, self._now = name, issuer, now
        self.claims: dict[str, Any] = {}
        self.life = 300.0
        self.repeat = False
        self.failure: Exception | None = None
        self.login = 1
        self.audiences: list[str | None] = []
        self.last: Token | None = None

    def revision(self) -> Hashable:
        """Return the number of logins."""
        return self.login

    def token(self, audience: str | None) -> Token:
        """Sign a token."""
        self.audiences.append(audience)
        if self.failure is not None:
            raise self.failure
        if self.repeat and self.last is not None:
            return self.last
        now = int(time.time())
        own = {"sub": SUBJECT, "iat": now, "nbf": now, "exp": now + int(self.life)}
        value = self._issuer.issue(audience or "unasked", {**own, **self.claims})
        self.last = Token(value, self._issuer.url, SUBJECT, self._now() + self.life)
        return self.last

    def standing(self) -> Standing:
        """Return that it is ready."""
        return Standing("ready", self._issuer.url, SUBJECT)
