"""What must a place where keys come from be able to do?"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from brokerd.model import Credential, Secret


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
