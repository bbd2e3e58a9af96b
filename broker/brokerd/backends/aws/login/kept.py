"""How does a person's login at IAM Identity Center stand in the keyring?"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from brokerd.keyring import Entry


@dataclass(frozen=True)
class Kept:
    """A login. Its repr shows no token.

    Attributes:
        client_id: Who we are there, since this login began.
        client_secret: Proves that.
        client_until: When both end, in seconds since 1970, and with them what renews the login.
        access_token: Gives credentials of a role.
        until: When that ends, in seconds since 1970.
        life: How long it was given for, in seconds.
        refresh_token: Gives another; empty where the login ends with the access token.
        shown: The name that the person knows.
    """

    client_id: str
    client_secret: str = field(repr=False)
    client_until: float
    access_token: str = field(repr=False)
    until: float
    life: float
    refresh_token: str = field(repr=False)
    shown: str = ""


class Keeper:
    """Keeps a login under what it is of.

    A configuration that names another start page or region does not find it: no token goes to
    a server that it is not from.

    Args:
        entry: Where in the keyring.
        bound: What it is of.
    """

    def __init__(self, entry: Entry, bound: Mapping[str, str]) -> None:
        self._entry, self._bound = entry, dict(bound)

    def load(self) -> Kept | None:
        """Return the login, or None where there is none of this kind. Raises as `Entry.load`."""
        entry = self._entry.load()
        return None if entry is None else self._read(entry)

    def save(self, kept: Kept) -> None:
        """Keep a login in the place of the one before. Raises as `Entry.save`."""
        self._entry.save(json.dumps({"bound": self._bound, **asdict(kept)}))

    def drop(self) -> None:
        """Forget the login, of whichever start page it is. Raises as `Entry.drop`."""
        self._entry.drop()

    def _read(self, entry: str) -> Kept | None:
        try:
            whole: object = json.loads(entry)
        except (ValueError, RecursionError):
            return None
        found = cast("dict[str, Any]", whole) if isinstance(whole, dict) else {}
        if found.pop("bound", None) != self._bound or found.keys() != _FITS.keys():
            return None
        fits = all(isinstance(found[key], kind) for key, kind in _FITS.items())
        return Kept(**found) if fits and all(math.isfinite(found[key]) for key in _TIMES) else None


_TIMES = ("client_until", "until", "life")
_FITS: dict[str, type] = {
    "client_id": str,
    "client_secret": str,
    "client_until": float,
    "access_token": str,
    "until": float,
    "life": float,
    "refresh_token": str,
    "shown": str,
}
