"""Where does the store's master key come from? The keyring of the system, or a passphrase."""

from __future__ import annotations

import os
import re
import unicodedata

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id as Derivation

from brokerd.keyring import SERVICE, Keyring, ask
from brokerd.store.crypto import KEY_BYTES
from brokerd.store.format import Argon2id
from brokershim.errors import KeyringUnavailable

_SALT_BYTES = 16
_ENTRY = re.compile(f"[0-9a-f]{{{2 * KEY_BYTES}}}")


def read(keyring: Keyring, store: str) -> bytes | None:
    """Return a store's master key, or None where the keyring has none for it.

    Raises:
        KeyringUnavailable: It refuses, or what it has is no master key.
    """
    entry = ask(lambda: keyring.get_password(SERVICE, store))
    if entry is None:
        return None
    if not _ENTRY.fullmatch(entry):
        raise KeyringUnavailable(f"the keyring's entry {SERVICE}/{store} is not a master key")
    return bytes.fromhex(entry)


def make(keyring: Keyring, store: str) -> bytes:
    """Make a master key for a new store, and keep it in the keyring.

    Raises:
        KeyringUnavailable: It refuses, or does not give back what it was given.
    """
    master = os.urandom(KEY_BYTES)
    ask(lambda: keyring.set_password(SERVICE, store, master.hex()))
    if read(keyring, store) != master:
        raise KeyringUnavailable("the keyring did not keep the master key")
    return master


def forget(keyring: Keyring, store: str) -> None:
    """Remove a store's master key.

    Raises:
        KeyringUnavailable: It refuses, or has none.
    """
    ask(lambda: keyring.delete_password(SERVICE, store))


def new_kdf() -> Argon2id:
    """Return the second recommended option of RFC 9106, section 4, with a new salt."""
    return Argon2id(os.urandom(_SALT_BYTES), iterations=3, lanes=4, memory_kib=64 * 1024)


def is_acceptable(kdf: Argon2id) -> bool:
    """Return whether parameters read from a file may be used.

    They are used before anything vouches for them: weaker ones would help whoever guesses the
    passphrase, and larger ones would take all memory.
    """
    least = new_kdf()
    return (
        len(kdf.salt) == _SALT_BYTES
        and least.iterations <= kdf.iterations <= 4 * least.iterations
        and least.lanes == kdf.lanes
        and least.memory_kib <= kdf.memory_kib <= 16 * least.memory_kib
    )


def derive(passphrase: str, kdf: Argon2id) -> bytes:
    """Return the master key that a passphrase makes; takes a tenth of a second or more.

    Typed on another keyboard, the same characters can be other code points: they are brought
    to one form first (NFC, as RFC 8265 does for passwords).
    """
    derivation = Derivation(
        salt=kdf.salt,
        length=KEY_BYTES,
        iterations=kdf.iterations,
        lanes=kdf.lanes,
        memory_cost=kdf.memory_kib,
    )
    # surrogatepass: never fails, where an error would carry the passphrase.
    text = unicodedata.normalize("NFC", passphrase)
    return derivation.derive(text.encode("utf-8", "surrogatepass"))
