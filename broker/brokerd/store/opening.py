"""Which master key opens a store, and which one does a new store get?"""

from __future__ import annotations

from typing import NamedTuple

from brokerd import keyring as os_keyring
from brokerd.config import MasterKey
from brokerd.keyring import SERVICE, Keyring
from brokerd.store import masterkey
from brokerd.store.crypto import fits
from brokerd.store.format import Argon2id, Document
from brokershim.errors import (
    ConfigError,
    KeyringUnavailable,
    Locked,
    StoreCorrupted,
    UsageError,
    WrongPassphrase,
)

SHORTEST_PASSPHRASE = 8
"""In characters."""
_NO_KEYRING = "no keyring of the operating system"


class Made(NamedTuple):
    """A new store's master key.

    Attributes:
        master: The key.
        kdf: How it comes of the passphrase; None where the keyring holds it.
        keyring: The keyring that holds it.
    """

    master: bytes
    kdf: Argon2id | None
    keyring: Keyring | None

    def __repr__(self) -> str:
        """Show no key."""
        return "Made()"


def master_of(path: str, document: Document, wanted: MasterKey, passphrase: str | None) -> bytes:
    """Return the master key of an existing store.

    Args:
        path: The store's file, for messages.
        document: What it holds; nothing vouches for it yet.
        wanted: Where the configuration says that the key comes from.
        passphrase: What the user typed, if anything.

    Raises:
        ConfigError: The key comes from elsewhere than the configuration says.
        Locked: A passphrase is needed (``details["needs"]``), or is not the right one.
        UsageError: A passphrase for a store that the keyring opens.
        KeyringUnavailable: No keyring, it refuses, or it has no key for this store.
        StoreCorrupted: The keyring's key is not this store's.
    """
    source: MasterKey = "keyring" if document.kdf is None else "passphrase"
    if wanted not in ("auto", source):
        raise ConfigError(
            f"config.toml wants the master key from the {wanted}, but that of {path} comes"
            f" from the {source}",
            hint=f'set master_key = "{source}" under [store] in config.toml',
        )
    if document.kdf is None:
        return _from_keyring(path, document, passphrase)
    return _from_passphrase(path, document, document.kdf, passphrase)


def make_master(store: str, wanted: MasterKey, passphrase: str | None) -> Made:
    """Return a master key for a new store; the keyring, where it is used, holds it already.

    Args:
        store: The new store's id.
        wanted: Where the configuration says that the key comes from.
        passphrase: A new one that the user chose, if any.

    Raises:
        ConfigError: A passphrase, where the configuration wants the keyring.
        UsageError: The passphrase is too short.
        Locked: A passphrase has to be chosen (``details["needs"]``): there is no keyring, or it
            refuses, or it is not wanted.
        KeyringUnavailable: There is no keyring, or it refuses, and nothing else is wanted.
    """
    if passphrase is not None:
        if wanted == "keyring":
            raise ConfigError("config.toml wants the master key from the keyring")
        return _new_passphrase(passphrase)
    if wanted == "passphrase":
        raise _choose("there is no store yet")
    try:
        return _new_in_keyring(store)
    except KeyringUnavailable as error:
        if wanted == "keyring":
            raise
        raise _choose(f"there is no store yet, and {error.message}") from None


def _choose(why: str) -> Locked:
    """Return the error that lets the command line ask; a passphrase is never the silent choice."""
    return Locked(
        why,
        hint="choose a passphrase with `brokerctl unlock`",
        details={"needs": "new-passphrase"},
    )


def _new_in_keyring(store: str) -> Made:
    keyring = os_keyring.find_keyring()
    if keyring is None:
        raise KeyringUnavailable(_NO_KEYRING)
    return Made(masterkey.make(keyring, store), None, keyring)


def _new_passphrase(passphrase: str) -> Made:
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise UsageError(
            f"a passphrase has at least {SHORTEST_PASSPHRASE} characters",
            hint="choose a longer one; four or five random words are good",
        )
    kdf = masterkey.new_kdf()
    return Made(masterkey.derive(passphrase, kdf), kdf, None)


def _from_keyring(path: str, document: Document, passphrase: str | None) -> bytes:
    if passphrase is not None:
        raise UsageError("the keyring opens this store; it has no passphrase")
    keyring = os_keyring.find_keyring()
    if keyring is None:
        raise KeyringUnavailable(_NO_KEYRING, hint=f"{path} opens only with its keyring")
    master = masterkey.read(keyring, document.id)
    if master is None:
        # Never a new key here: what the store holds would be lost for good.
        raise KeyringUnavailable(
            f"the keyring has no key for {path} (entry {SERVICE}/{document.id})",
            hint="put that entry back, or move the file away and set the secrets again",
        )
    if not fits(master, document):
        raise StoreCorrupted(f"{path} is damaged: the keyring's key for it does not fit")
    return master


def _from_passphrase(path: str, document: Document, kdf: Argon2id, passphrase: str | None) -> bytes:
    if not masterkey.is_acceptable(kdf):
        raise StoreCorrupted(f"{path} is damaged: its key derivation is too weak or too large")
    if passphrase is None:
        raise Locked("the store is locked", details={"needs": "passphrase"})
    master = masterkey.derive(passphrase, kdf)
    if not fits(master, document):
        raise WrongPassphrase("the passphrase is wrong")
    return master
