"""Where is the keyring of the operating system? The only module that imports `keyring`.

It is taken from a closed table. `keyring.get_keyring` is never called: it obeys
PYTHON_KEYRING_BACKEND and a configuration file, loads every installed plug-in, and may so come
back with one that writes in clear.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

from brokershim.errors import KeyringUnavailable

SERVICE = "brokerctl"
"""What every entry of ours is filed under; the user says what it is."""
_MODULES = ("keyring.backends.SecretService", "keyring.backends.macOS")
# KDE's kwalletd offers the Secret Service itself; keyring's own backend for it would need
# python-dbus, and sends the key over the bus in clear.
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


def ask(call: Callable[[], _Result], hint: str | None = None) -> _Result:
    """Return what a call of a keyring returns.

    Args:
        call: What to ask of it.
        hint: What to do where it refuses, if not what the error's class says.

    Raises:
        KeyringUnavailable: It refuses.
    """
    try:
        return call()
    except _refusals() as error:
        reason = type(error).__name__
    # After the handler, so that the keyring's own error, which may hold the key, is not chained.
    raise KeyringUnavailable(f"the keyring of the operating system refuses ({reason})", hint=hint)


class Entry:
    """One entry of ours. Each call may block, for as long as a person takes to unlock the keyring.

    Args:
        user: What it is filed under, such as ``login/NAME``.
        what: What it holds, for messages.
        hint: What to do where the keyring refuses.
    """

    def __init__(self, user: str, what: str, hint: str) -> None:
        self._user, self._what, self._hint = user, what, hint

    def load(self) -> str | None:
        """Return what it holds, or None where there is none. Raises `KeyringUnavailable`."""
        keyring = self._keyring()
        return ask(lambda: keyring.get_password(SERVICE, self._user), self._hint)

    def save(self, value: str) -> None:
        """Keep a value in the place of the one before, and see that it is kept.

        Raises:
            KeyringUnavailable: It refuses, or does not give back what it was given: what is lost
                is noticed too late.
        """
        keyring = self._keyring()
        ask(lambda: keyring.set_password(SERVICE, self._user, value), self._hint)
        if ask(lambda: keyring.get_password(SERVICE, self._user), self._hint) != value:
            raise KeyringUnavailable(f"the keyring did not keep {self._what}", hint=self._hint)

    def drop(self) -> None:
        """Forget it; none is no error. Raises `KeyringUnavailable`."""
        keyring = self._keyring()
        if ask(lambda: keyring.get_password(SERVICE, self._user), self._hint) is not None:
            ask(lambda: keyring.delete_password(SERVICE, self._user), self._hint)

    def _keyring(self) -> Keyring:
        found = find_keyring()
        if found is None:
            raise KeyringUnavailable("no keyring of the operating system", hint=self._hint)
        return found


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
