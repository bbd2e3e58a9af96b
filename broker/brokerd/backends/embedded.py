"""How does the embedded store serve as a backend?"""

from __future__ import annotations

from collections.abc import Hashable

from brokerd.model import Credential, Secret
from brokerd.store import Store


class EmbeddedBackend:
    """Keys of the embedded store. They are static, so all that ends a lease is the broker."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def revision(self) -> Hashable:
        """Return what changes whenever the file does, or the store is locked."""
        return self._store.revision()

    def key_of(self, name: str) -> Hashable:
        """Return the name: each secret has a key of its own."""
        return name

    def describe(self, name: str) -> Secret:
        """Return what is known of a secret; raises as `Store.describe` does."""
        return self._store.describe(name)

    def fetch(self, name: str) -> Credential:
        """Return a key; raises as `Store.fetch` does."""
        return self._store.fetch(name)

    def revoke(self, upstream: str) -> None:
        """Do nothing: a copy of a static key works until its owner ends it at the provider."""
