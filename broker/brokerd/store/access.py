"""Is the store open or locked, and how does it become the other?"""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

from brokerd.config import MasterKey
from brokerd.sealed import Sealed, Sealer
from brokerd.store import masterkey
from brokerd.store.crypto import check_of
from brokerd.store.file import Loaded, Stamp
from brokerd.store.format import Document
from brokerd.store.genuine import GenuineFile, Opened
from brokerd.store.opening import Made, make_master, master_of
from brokershim.errors import (
    BackendTimeout,
    BackendUnavailable,
    BrokerError,
    InsecurePath,
    KeyringUnavailable,
    Locked,
    NotFound,
    StoreCorrupted,
)

_WAIT_SECONDS = 30.0
"""How long a call waits for the one before it, which may be waiting for a keyring's prompt."""
Source = Literal["keyring", "passphrase"]


@dataclass(frozen=True)
class StoreStatus:
    """How the store is.

    Attributes:
        exists: Whether there is a file.
        locked: Whether there is one, and its master key is not in memory.
        master_key: Where its master key comes from; None where that cannot be told.
        damaged: Why the file cannot be used, as far as can be told without the master key.
        generation: How many times it was written; 0 where that cannot be told.
    """

    exists: bool
    locked: bool
    master_key: Source | None
    damaged: str | None
    generation: int


class Access:
    """Opens, locks, makes and replaces the store.

    Of the store's secrets only the master key is kept in memory, sealed.

    Args:
        path: The store's file, in a folder of its own.
        master_key: Where the master key may come from.

    Raises:
        BackendUnavailable: There is no memory to keep the master key in.
    """

    def __init__(self, path: str, master_key: MasterKey) -> None:
        self._file = GenuineFile(path)
        self._wanted: MasterKey = master_key
        self._sealer = Sealer()
        self._busy = threading.Lock()
        # Of its own, and never held while anything is waited for: `lock` has to work at once.
        self._key_lock = threading.Lock()
        self._key: Sealed | None = None
        self._locks = 0
        """How often `lock` was called. Once it was, nothing but `unlock` opens the store."""

    def status(self) -> StoreStatus:
        """Return how the store is. Does not wait for other calls, nor ask the keyring."""
        locked = self._key is None
        try:
            loaded = self._file.load()
            if loaded is None:
                return StoreStatus(False, False, None, None, 0)
        except (BackendUnavailable, InsecurePath) as error:
            return StoreStatus(True, locked, None, error.message, 0)
        document = loaded.parsed.document
        source: Source = "keyring" if document.kdf is None else "passphrase"
        return StoreStatus(True, locked, source, self._damage(loaded), document.generation)

    def revision(self) -> tuple[Stamp | None, int] | None:
        """Return what changes whenever the file does, or the store is locked; never waits."""
        try:
            return self._file.stamp(), self._locks
        except BackendUnavailable:
            return None

    def unlock(self, passphrase: str | None, create: bool) -> bool:
        """Open the store, or make one; return whether it was made.

        Args:
            passphrase: For a store that has one, or to make one.
            create: Whether to make a store where there is none.

        Raises:
            Locked: A passphrase is needed: ``details["needs"]`` is ``passphrase``, or
                ``new-passphrase`` where there is neither a store nor a keyring.
            WrongPassphrase: It is not the store's.
            UsageError: A new one is too short, or the store has none.
            NotFound: There is no store, and none is to be made.
            ConfigError: The configuration wants the master key from elsewhere.
            KeyringUnavailable: The keyring refuses, or has no key for the store.
            StoreCorrupted: The file is not, whole and genuine, the newest that was seen of it.
            BackendUnavailable: The file cannot be read or written.
        """
        with self._exclusive():
            loaded = self._file.load()
            if loaded is not None:
                if self._key is None or passphrase is not None:
                    self._open(loaded, passphrase, self._locks)
                else:
                    self._read()
                return False
            if not create:
                raise NotFound("there is no store yet", hint="make one with `brokerctl unlock`")
            self._create(passphrase)
            return True

    def lock(self) -> None:
        """Forget the master key until `unlock`. Works at once, whatever other calls wait for."""
        with self._key_lock:
            self._key = None
            self._locks += 1

    @contextlib.contextmanager
    def _exclusive(self) -> Generator[None]:
        """Let one call at a time work; the others do not wait for ever for a keyring's prompt.

        Raises:
            BackendTimeout: The one before takes too long.
        """
        if not self._busy.acquire(timeout=_WAIT_SECONDS):
            raise BackendTimeout(
                "the store still waits for the keyring", hint="answer the keyring's prompt"
            )
        try:
            yield
        finally:
            self._busy.release()

    def _read(self) -> Opened | None:
        """Return the store, vouched for; None where there is none.

        Raises:
            BrokerError: See `unlock`.
        """
        loaded = self._file.load()
        if loaded is None:
            return None
        document = loaded.parsed.document
        with self._key_lock:
            key, locks = self._key, self._locks
        if key is not None:
            return self._file.opened(loaded, self._sealer.open(key, document.id.encode()))
        if locks and document.kdf is None:
            raise Locked("the store is locked")
        return self._open(loaded, None, locks)

    def _open(self, loaded: Loaded, passphrase: str | None, locks: int) -> Opened:
        document = loaded.parsed.document
        master = master_of(self._file.path, document, self._wanted, passphrase)
        opened = self._file.opened(loaded, master)
        self._keep(master, document.id, locks)
        return opened

    def _keep(self, master: bytes, store: str, locks: int) -> None:
        """Keep the master key, unless the store was locked while the key was on its way."""
        with self._key_lock:
            if self._locks != locks:
                raise Locked("the store was locked meanwhile")
            self._key = self._sealer.seal(master, store.encode())

    def _create(self, passphrase: str | None) -> Opened:
        """Make an empty store. Its key is kept first: a store without its key is lost."""
        locks, store = self._locks, secrets.token_hex(16)
        made = make_master(store, self._wanted, passphrase)
        document = Document(store, 0, made.kdf, check_of(made.master, store), {}, {})
        try:
            opened = self._file.write(document, Opened(document, None, made.master))
        except BrokerError:
            self._forget(made, store)
            raise
        self._keep(made.master, store, locks)
        return opened

    def _forget(self, made: Made, store: str) -> None:
        """Remove the key of a store that was not made; but one that did appear keeps its key."""
        if made.keyring is not None and self._file.stamp() is None:
            with contextlib.suppress(KeyringUnavailable):  # why it was not made is worth more
                masterkey.forget(made.keyring, store)

    def _damage(self, loaded: Loaded) -> str | None:
        """Return why a file cannot be used, as far as can be told now."""
        key = self._key
        if key is None:
            return None
        try:
            store = loaded.parsed.document.id.encode()
            self._file.check(loaded, self._sealer.open(key, store))
        except StoreCorrupted as error:
            return error.message
        return None
