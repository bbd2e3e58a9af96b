"""How does a person's login at a Vault stand in the keyring?"""

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
        token: The server's.
        accessor: Names it; empty for a batch token, which nobody can end.
        shown: The name that the person knows.
        until: When it dies unless it is renewed, in seconds since 1970.
        life: Seconds that it was given for.
        renewable: Whether it can be renewed.
        looks: Whether it may look itself up; of one that may not, nobody can tell whether it lives.
    """

    token: str = field(repr=False)
    accessor: str
    shown: str
    until: float
    life: float
    renewable: bool
    looks: bool


class Keeper:
    """Keeps a login under what it is of.

    A configuration that names another server, namespace, mount or role does not find it: no token
    goes to a server that it is not from.

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
        """Forget the login, of whichever server it is. Raises as `Entry.drop`."""
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
        return Kept(**found) if fits and all(map(math.isfinite, _times(found))) else None


_FITS: dict[str, type] = {
    "token": str,
    "accessor": str,
    "shown": str,
    "until": float,
    "life": float,
    "renewable": bool,
    "looks": bool,
}


def _times(found: Mapping[str, Any]) -> tuple[float, float]:
    """Return the numbers: JSON as Python reads it knows more of them than JSON does."""
    return found["until"], found["life"]
