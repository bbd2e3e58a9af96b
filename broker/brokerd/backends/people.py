"""What has a person to do with a backend: see what it allows, give it something, log in to it?

Each is a Protocol of its own, for only some backends: as in `base.py`, one that has its methods is
one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeGuard

from brokerd.backends.base import Backend
from brokerd.identities.base import PersonalAccount


@dataclass(frozen=True)
class Finding:
    """What a backend allows us for one secret, or for all.

    Attributes:
        subject: The secret's name; empty for what is about the backend itself.
        path: Where at the backend.
        has: What is allowed there, in the backend's own words, in order.
        lacks: What is needed and not allowed.
        beyond: What is allowed and not needed: whoever takes over the daemon has it, too.
        hint: What to do about it; empty where nothing.
    """

    subject: str
    path: str
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    beyond: tuple[str, ...] = ()
    hint: str = ""

    @property
    def verdict(self) -> Literal["ok", "lacks", "beyond"]:
        """In one word."""
        if self.lacks:
            return "lacks"
        return "beyond" if self.beyond else "ok"


class CheckedBackend(Backend, Protocol):
    """One that can tell what it allows us."""

    def check(self) -> list[Finding]:
        """Return what it allows for each configured secret.

        Raises:
            As `fetch`.
        """
        ...


class EnrolledBackend(Backend, Protocol):
    """One that logs in with something that a person has to give it once.

    Attributes:
        wants: What that is, in words for a prompt, such as ``private key (PEM)``.
    """

    wants: str

    def enrolled(self) -> bool:
        """Return whether it has been given that, without asking any server.

        Raises:
            KeyringUnavailable: The keyring that it stands in refuses.
        """
        ...

    def enrol(self, value: str) -> None:
        """Keep it, in the keyring of the operating system, in the place of any before.

        Raises:
            UsageError: It is no such thing.
            KeyringUnavailable: The keyring does not keep it.
        """
        ...


class PersonalBackend(Backend, Protocol):
    """One that a person logs in to.

    Attributes:
        account: What `brokerctl login` and `logout` go to; it has the backend's name.
    """

    account: PersonalAccount


def is_checked(backend: Backend) -> TypeGuard[CheckedBackend]:
    """Return whether it is a `CheckedBackend`."""
    return hasattr(backend, "check")


def is_enrolled(backend: Backend) -> TypeGuard[EnrolledBackend]:
    """Return whether it is an `EnrolledBackend` that has something to be given."""
    return hasattr(backend, "enrol") and bool(getattr(backend, "wants", ""))


def has_account(backend: Backend) -> TypeGuard[PersonalBackend]:
    """Return whether it is a `PersonalBackend`."""
    return getattr(backend, "account", None) is not None
