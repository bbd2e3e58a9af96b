"""What must a place where keys come from be able to do, and what may it do besides?

Every one is a `Backend`. What only some can do is a Protocol of its own: one that has its methods
is one, as `mints`, `is_watched` and `is_tended` tell. What a person has to do with one is in
`people.py`.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol, TypeGuard

from brokerd.model import Credential, Secret, Whom


class Backend(Protocol):
    """One configured place where keys come from.

    Every method but `revision` and `key_of` may block, and is called in a thread with a deadline.
    Every error that leaves a backend is one of `brokershim.errors`; none carries a key.
    """

    def revision(self) -> Hashable:
        """Return what changes when a key that was fetched before must be fetched again.

        Called on the event loop at each lease, so it neither blocks nor raises: a backend
        that cannot tell cheaply returns a constant.
        """
        ...

    def key_of(self, name: str) -> Hashable:
        """Return what the secrets that one key serves have in common: it is fetched once for all.

        The name itself, where each secret has a key of its own. Called on the event loop, for
        any name: it neither blocks nor raises.
        """
        ...

    def describe(self, name: str) -> Secret:
        """Return what is known of a secret, without asking any server.

        Its version is empty where only a fetch tells it.

        Raises:
            SecretNotFound: It has none of that name.
            BackendUnavailable: It cannot say now.
            Locked: It must be unlocked first.
        """
        ...

    def fetch(self, name: str) -> Credential:
        """Return a key.

        Raises:
            SecretNotFound: It has none of that name.
            BackendUnavailable: It cannot give one now.
            Locked: It must be unlocked first.
        """
        ...

    def revoke(self, upstream: str) -> None:
        """End a credential early; one that has ended already is no error.

        Raises:
            BackendUnavailable: It cannot be done now; it is tried again.
        """
        ...


class MintingBackend(Backend, Protocol):
    """One that makes some keys for one lease alone: they live, and end, with that lease."""

    def makes(self, name: str) -> bool:
        """Return whether each lease of a secret gets a key of its own.

        Called on the event loop, for any name: it neither blocks nor raises.
        """
        ...

    def generation(self) -> Hashable:
        """Return what changes when all that was made before is over.

        That is when its `revision` changes, and when what it was made under has ended otherwise, as
        a login may: a key that leases share is as good as before. Called on the event loop, so it
        neither blocks nor raises.
        """
        ...

    def prepare(self, name: str) -> str | None:
        """Get ready for a fetch, and say what ends all that it makes, should its answer be lost.

        It is written down before the fetch, so that not even a daemon that is killed as the
        answer comes leaves behind what nobody knows of.

        Returns:
            What `revoke` takes; None where nothing but time ends what it makes.

        Raises:
            As `fetch`.
        """
        ...

    def make(self, name: str, risk: str | None, whom: Whom) -> Credential:
        """Return a key that nobody had before.

        Args:
            name: The secret's name.
            risk: What `prepare` returned: it is made so that this ends it, or not at all. Between
                the two there may have been another login, which that would not end.
            whom: Whom it is for.

        Raises:
            As `fetch`.
        """
        ...

    def renew(self, upstream: str, seconds: float) -> float:
        """Let a key live on; return when it dies, in seconds of `brokershim.clock.now`.

        Args:
            upstream: The id that its credential had.
            seconds: How long it is wanted from now on; the backend's own limit wins.

        Raises:
            NotFound: It is over.
            BackendUnavailable: It cannot be told now.
        """
        ...


class WatchedBackend(Backend, Protocol):
    """One where somebody else may put a newer key at any time.

    Attributes:
        watch_seconds: How often it is asked for that, in seconds.
    """

    watch_seconds: float

    def newest(self, name: str) -> str:
        """Return the version of the key that a fetch would bring now, asked as cheaply as can be.

        Raises:
            As `fetch`.
        """
        ...


class RotatedBackend(Backend, Protocol):
    """One that can be asked to replace a secret's key by another."""

    def rotate(self, name: str) -> str:
        """Ask for a newer key; return the version that it will have.

        Raises:
            BackendRefused: It may not be asked for, or nothing there rotates that secret.
            BrokerError: As `fetch`.
        """
        ...

    def has_rotated(self, name: str, version: str) -> bool:
        """Return whether that version is the one that `fetch` brings now.

        Raises:
            BackendRefused: The rotation has failed, and is over.
            BrokerError: As `fetch`.
        """
        ...


class TendedBackend(Backend, Protocol):
    """One with something of its own to keep alive, and to give back in the end."""

    def due_at(self) -> float | None:
        """Return when to call `tend`, in seconds of `brokershim.clock.now`; None for never.

        Called on the event loop, so it neither blocks nor raises.
        """
        ...

    def tend(self) -> None:
        """Do what is due; raises as `fetch`."""
        ...

    def close(self) -> None:
        """Give back what it holds, as the daemon stops: from now on it is not asked.

        Raises:
            BackendUnavailable: It could not be given back.
        """
        ...


def mints(backend: Backend) -> TypeGuard[MintingBackend]:
    """Return whether it is a `MintingBackend`."""
    return hasattr(backend, "makes")


def generation_of(backend: Backend) -> Hashable:
    """Return what changes when all that a backend made is over; its revision, if it makes none."""
    return backend.generation() if mints(backend) else backend.revision()


def is_watched(backend: Backend) -> TypeGuard[WatchedBackend]:
    """Return whether it is a `WatchedBackend`."""
    return hasattr(backend, "newest")


def rotates(backend: Backend) -> TypeGuard[RotatedBackend]:
    """Return whether it is a `RotatedBackend`."""
    return hasattr(backend, "has_rotated")


def is_tended(backend: Backend) -> TypeGuard[TendedBackend]:
    """Return whether it is a `TendedBackend`."""
    return hasattr(backend, "tend")
