"""What must a way to log in to Vault be able to do?"""

from __future__ import annotations

import ssl
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Protocol, TypeGuard

from brokerd.backends.vault.client import Vault
from brokerd.identities.base import PersonalAccount


@dataclass(frozen=True)
class Auth:
    """What a login brought (Vault, "Tokens"). Its repr shows no token.

    Attributes:
        token: The token.
        accessor: Names it to others who may end it; None for a batch token, which nobody can end.
        expires_at: When it dies, in seconds of `brokershim.clock.now`; None if never (root).
        ttl: Seconds that it was given for; 0 where it never dies.
        renewable: Whether it can be renewed at all.
        policies: What it may do, by the server's names.
        ours: Whether we made it, and so end it; one that somebody gave us is left alone.
        lasting: Whether it is kept for the next daemon, so that this one's end is not its own: a
            person would have to log in again.
    """

    token: str = field(repr=False)
    accessor: str | None
    expires_at: float | None
    ttl: float
    renewable: bool
    policies: tuple[str, ...] = ()
    ours: bool = True
    lasting: bool = False


class Method(Protocol):
    """One way to log in, as configured."""

    kind: str

    def revision(self) -> Hashable:
        """Return what changes whenever it may be somebody else; neither blocks nor raises."""
        ...

    def login(self, vault: Vault) -> Auth:
        """Log in; called by one thread at a time.

        Raises:
            BackendRefused: The server knows the proof, and does not take it.
            LoginRequired: A person has to log in first.
            WrapOpened: What was wrapped for us alone was opened before.
            IdentityUnavailable: This machine has nothing to log in with.
            BrokerError: As `Identity.token`, and what the server says.
        """
        ...


class EnrolledMethod(Method, Protocol):
    """One that a person has to give something once; see `backends.people.EnrolledBackend`."""

    wants: str

    def enrolled(self) -> bool:
        """Return whether it has that. Raises `KeyringUnavailable`."""
        ...

    def enrol(self, value: str) -> None:
        """Keep it, and change the revision. Raises `UsageError` and `KeyringUnavailable`."""
        ...


class ProvingMethod(Method, Protocol):
    """One that proves who we are on each connection: a renewal needs the proof of the login."""

    def prove(self, context: ssl.SSLContext) -> None:
        """Put a client certificate on a connection; see `brokerd.trust.Prove`.

        Raises:
            IdentityUnavailable: This machine has none, or not its private key.
            KeyringUnavailable: The keyring that the key stands in refuses.
        """
        ...


class PersonalMethod(Method, Protocol):
    """One that a person logs in to; see `backends.people.PersonalBackend`."""

    account: PersonalAccount


def is_enrolled(method: Method) -> TypeGuard[EnrolledMethod]:
    """Return whether it is an `EnrolledMethod`."""
    return hasattr(method, "enrol")


def proves(method: Method) -> TypeGuard[ProvingMethod]:
    """Return whether it is a `ProvingMethod`."""
    return hasattr(method, "prove")


def is_personal(method: Method) -> TypeGuard[PersonalMethod]:
    """Return whether it is a `PersonalMethod`."""
    return hasattr(method, "account")
