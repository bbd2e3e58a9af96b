"""What must a proof of who this machine or person is be able to do?"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeGuard

Mode = Literal["browser", "device"]


@dataclass(frozen=True)
class Token:
    """A signed token (a JWT, RFC 7519) that names its bearer to one audience. Its repr hides it.

    Attributes:
        value: The token, in its compact form.
        issuer: Who signed it, its ``iss``.
        subject: Who it names, its ``sub``.
        expires_at: When it is over, in seconds of `brokershim.clock.now`.
        id: Its ``jti``; None where it has none.
    """

    value: str = field(repr=False)
    issuer: str
    subject: str
    expires_at: float
    id: str | None = None


@dataclass(frozen=True)
class Standing:
    """How an identity stands, for `brokerctl whoami` and `brokerctl status`.

    Attributes:
        state: ``ready``; ``due``: it will soon need a login; ``login``: it needs one now;
            ``absent``: this machine does not have it now; ``failed``: it is there, and broken.
        issuer: From where, as far as is known; else empty.
        subject: Who, as far as is known; else empty.
        until: Seconds from now until a person is needed; None if never, or not known.
        reason: Why it is not ready, or what bounds it, in one sentence, and never a token; else
            empty.
    """

    state: Literal["ready", "due", "login", "absent", "failed"]
    issuer: str = ""
    subject: str = ""
    until: float | None = None
    reason: str = ""


class Account(Protocol):
    """Something of the configuration that somebody is logged in to, or may be.

    All but `Identity.revision` may block, and is called in a thread with a deadline. Every error
    that leaves it is one of `brokershim.errors`; none carries a token.
    """

    name: str
    kind: str

    def standing(self) -> Standing:
        """Return how it stands, without asking any server."""
        ...


class Identity(Account, Protocol):
    """One configured identity: it yields a token that others take for a proof."""

    def revision(self) -> Hashable:
        """Return what changes whenever it may be somebody else, as by a login or a logout.

        Called on the event loop, so it neither blocks nor raises.
        """
        ...

    def token(self, audience: str | None) -> Token:
        """Return a token for an audience, as new as it can be had.

        Args:
            audience: Its ``aud``; None for what the identity gives unasked.

        Raises:
            LoginRequired: A person has to log in first.
            IdentityUnavailable: This machine does not have it now.
            IdentityExpired: What there is, is over.
            InsecurePath: Others could read or change what it comes from.
            ClockSkew: This machine's clock is off.
            KeyringUnavailable: The keyring that the login stands in refuses.
            ServerDown: Who issues it cannot be reached.
        """
        ...


class Login(Protocol):
    """One login that is under way.

    Attributes:
        url: Where a person goes on, in a browser; empty where they do not.
        user_code: What is typed or confirmed there (RFC 8628, section 3.2); None where nothing is.
        seconds: How long it may take.
    """

    url: str
    user_code: str | None
    seconds: float

    def run(self) -> Standing:
        """Wait until the person is done; blocks for as long as `seconds`.

        Raises:
            LoginRefused: It was refused, given up, took too long, or its answer proves nothing.
            ServerDown: The provider cannot be reached.
            ClockSkew: This machine's clock is off.
            KeyringUnavailable: The keyring does not keep the login.
        """
        ...

    def cancel(self) -> None:
        """Give it up; `run` then raises `LoginRefused`. Does nothing once it is over."""
        ...


class AskingLogin(Login, Protocol):
    """One that goes on once a person has typed something where they began it.

    Attributes:
        asks: What that is, in words for a prompt, such as ``MFA code of arn:…``.
    """

    asks: str

    def answer(self, value: str) -> None:
        """Go on with what the person typed; only the first is taken. Does not block.

        Raises:
            UsageError: It is no such thing; another may be typed.
        """
        ...


def is_asking(login: Login) -> TypeGuard[AskingLogin]:
    """Return whether it is an `AskingLogin`."""
    return hasattr(login, "asks")


class PersonalAccount(Account, Protocol):
    """One that a person logs in to: an identity, or a backend that asks for a person itself."""

    def login(self, mode: Mode) -> Login:
        """Begin a login; whoever is logged in stays so until it has succeeded.

        Raises:
            LoginUnderWay: One has begun, and is not over.
            KeyringUnavailable: The keyring could not keep it.
            ServerDown: The provider cannot be reached.
            IdentityUnavailable: It does not offer this way.
        """
        ...

    def logout(self) -> None:
        """Forget the login, here first and then at the provider.

        Raises:
            KeyringUnavailable: The keyring refuses.
            ServerDown: The provider could not be told; here it is forgotten all the same.
        """
        ...
