"""Where does the store's master key come from? The only module that imports `keyring`.

From the keyring of the operating system, or from a passphrase. The keyring is taken from a closed
table. `keyring.get_keyring` is never called: it obeys PYTHON_KEYRING_BACKEND and a configuration
file, loads every installed plug-in, and may so come back with one that writes in clear.
"""

from __future__ import annotations

import importlib
import os
import re
import unicodedata
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id as Derivation

from brokerd.store.crypto import KEY_BYTES
from brokerd.store.format import Argon2id
from brokershim.errors import KeyringUnavailable

SERVICE = "brokerctl"
"""What the keyring's entry is filed under, with the store's id as the user."""
_MODULES = ("keyring.backends.SecretService", "keyring.backends.macOS")
# KDE's kwalletd offers the Secret Service itself; keyring's own backend for it would need
# python-dbus, and sends the key over the bus in clear.
_SALT_BYTES = 16
_ENTRY = re.compile(f"[0-9a-f]{{{2 * KEY_BYTES}}}")
_Result = TypeVar("_Result")


class Keyring(Protocol):
    """What is used of a keyring."""

    def get_password(self, service: str, username: str, /) -> str | None:
        """Return an entry, or None."""
        ...

    def set_password(self, service: str, username: str, password: str, /) -> None:
        """Make or replace an entry."""
        ...

    def delete_password(self, service: str, username: str, /) -> None:
        """Remove an entry."""
        ...


def find_keyring() -> Keyring | None:
    """Return the keyring of the operating system, or None where there is none."""
    for name in _MODULES:
        backend = importlib.import_module(name).Keyring
        if backend.viable:
            found: Any = backend()
            # From KEYRING_PROPERTY_* variables its constructor takes any attribute, such as
            # another collection; back to what the class says.
            found.__dict__.clear()
            return cast("Keyring", found)
    return None


def read(keyring: Keyring, store: str) -> bytes | None:
    """Return a store's master key, or None where the keyring has none for it.

    Raises:
        KeyringUnavailable: It refuses, or what it has is no master key.
    """
    entry = _ask(lambda: keyring.get_password(SERVICE, store))
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
    _ask(lambda: keyring.set_password(SERVICE, store, master.hex()))
    if read(keyring, store) != master:
        raise KeyringUnavailable("the keyring did not keep the master key")
    return master


def forget(keyring: Keyring, store: str) -> None:
    """Remove a store's master key.

    Raises:
        KeyringUnavailable: It refuses, or has none.
    """
    _ask(lambda: keyring.delete_password(SERVICE, store))


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


def _ask(call: Callable[[], _Result]) -> _Result:
    try:
        return call()
    except _refusals() as error:
        reason = type(error).__name__
    # After the handler, so that the keyring's own error, which may hold the key, is not chained.
    raise KeyringUnavailable(f"the keyring of the operating system refuses ({reason})")


def _refusals() -> tuple[type[Exception], ...]:
    """Return what a keyring raises; what stands behind it is installed on Linux only."""
    found: list[type[Exception]] = [OSError, ValueError]
    for module, name in (
        ("keyring.errors", "KeyringError"),
        ("secretstorage.exceptions", "SecretStorageException"),
        ("jeepney.wrappers", "DBusErrorResponse"),
    ):
        try:
            found.append(getattr(importlib.import_module(module), name))
        except ModuleNotFoundError:
            continue
    return tuple(found)
