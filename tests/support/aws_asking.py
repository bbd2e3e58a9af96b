"""What the tests of the ways to ask AWS share: an identity, credentials, and a clock."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import Any

from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.settings import Settings
from brokerd.identities.base import Standing, Token
from tests.support.aws import ADMIN, REGION, Aws

ADMINS = Keys(*ADMIN, None, None)


@dataclass
class Clock:
    """A clock that a test sets.

    Attributes:
        now: The time, in seconds.
        slept: What was waited for, in seconds.
    """

    now: float = 1000.0
    slept: list[float] = field(default_factory=list[float])

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class CountingIdentity:
    """Each token is another one; nobody verifies it here.

    Attributes:
        login: What `revision` gives.
        audiences: What it was asked for.
    """

    name: str = "work"
    kind: str = "counting"
    login: int = 1
    audiences: list[str | None] = field(default_factory=list[str | None])

    def revision(self) -> Hashable:
        """Return the number of logins."""
        return self.login

    def token(self, audience: str | None) -> Token:
        """Return a new one."""
        self.audiences.append(audience)
        return Token(self.last, "https://issuer.example", "me", 1e12)

    @property
    def last(self) -> str:
        """The newest token."""
        return f"eyJhbGciOiJSUzI1NiJ9.eyJuIjoi{len(self.audiences)}In0.c2lnbmF0dXJl"

    def standing(self) -> Standing:
        """Return that it is ready."""
        return Standing("ready")


def clients(aws: Aws | str, **settings: Any) -> Clients:
    """Return what asks an AWS of the tests, or any server instead of it."""
    url = aws if isinstance(aws, str) else aws.url
    own = Settings(REGION, endpoints=dict.fromkeys(("secretsmanager", "sts"), url))
    return Clients("cloud", replace(own, **settings))
