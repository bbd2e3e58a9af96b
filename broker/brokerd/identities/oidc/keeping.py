"""Where does a login stand between two uses? In the system's keyring, or in memory only."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, cast

from brokerd.identities.oidc.settings import Settings
from brokerd.keyring import Entry

_HINT = 'unlock the keyring, or write keep = "memory" into [identity.{}] of config.toml'


@dataclass(frozen=True)
class Kept:
    """A login. Its repr shows no token.

    Attributes:
        subject: The provider's name for the person.
        shown: The name that the person knows.
        refresh_token: Gets newer tokens.
        until: When that is over, in seconds since 1970; None where nobody says.
        life: How long it lived from when it was given, in seconds; None where nobody says.
    """

    subject: str
    shown: str
    refresh_token: str = field(repr=False)
    until: float | None = None
    life: float | None = None


class Keeper(Protocol):
    """What keeps one login."""

    def load(self) -> Kept | None:
        """Return the login, or None. Raises `KeyringUnavailable`."""
        ...

    def save(self, kept: Kept) -> None:
        """Keep a login in the place of the one before. Raises `KeyringUnavailable`."""
        ...

    def drop(self) -> None:
        """Forget the login; none is no error. Raises `KeyringUnavailable`."""
        ...


class InMemory:
    """Keeps a login until the daemon stops."""

    def __init__(self) -> None:
        self._kept: Kept | None = None

    def load(self) -> Kept | None:
        """Return the login, or None."""
        return self._kept

    def save(self, kept: Kept) -> None:
        """Keep a login."""
        self._kept = kept

    def drop(self) -> None:
        """Forget the login."""
        self._kept = None


class InKeyring:
    """Keeps a login in the keyring, under the provider and the client that it is of.

    A configuration that names another of the two does not find it: no refresh token goes to
    a server that it is not from.
    """

    def __init__(self, settings: Settings) -> None:
        hint = _HINT.format(settings.name)
        self._entry = Entry(f"login/{settings.name}", "the login", hint)
        self._bound = {"issuer": settings.issuer, "client_id": settings.client_id}

    def load(self) -> Kept | None:
        """Return the login, or None where there is none of this provider and client."""
        entry = self._entry.load()
        return None if entry is None else self._read(entry)

    def save(self, kept: Kept) -> None:
        """Keep a login, and see that it is kept: a login that is lost is noticed too late."""
        self._entry.save(json.dumps({**self._bound, **asdict(kept)}))

    def drop(self) -> None:
        """Forget the login, of whichever provider it is."""
        self._entry.drop()

    def _read(self, entry: str) -> Kept | None:
        try:
            found: object = json.loads(entry)
        except (ValueError, RecursionError):
            return None
        if not isinstance(found, dict):
            return None
        return self._kept(cast("dict[str, Any]", found))

    def _kept(self, found: dict[str, Any]) -> Kept | None:
        if any(found.pop(key, None) != value for key, value in self._bound.items()):
            return None
        texts = (found.get("subject"), found.get("shown"), found.get("refresh_token"))
        times = (found.get("until"), found.get("life"))
        fits = all(isinstance(each, str) and each for each in texts)
        fits = fits and all(each is None or _is_time(each) for each in times)
        return Kept(*cast("tuple[Any, Any, Any]", texts), *times) if fits else None


def _is_time(value: object) -> bool:
    """Return whether it is a finite number: JSON as Python reads it knows more than JSON does."""
    return isinstance(value, float) and math.isfinite(value)


def keeper(settings: Settings) -> Keeper:
    """Return what keeps the login of an identity."""
    return InMemory() if settings.keep == "memory" else InKeyring(settings)
