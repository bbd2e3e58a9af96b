"""How does a person's login to a backend stand in the keyring?"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import Field, asdict
from typing import Any, ClassVar, Generic, Protocol, TypeVar, cast, get_type_hints

from brokerd.keyring import Entry


class _Fields(Protocol):
    """A dataclass: its fields are of ``str``, ``bool`` and ``float``."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


_Kept = TypeVar("_Kept", bound=_Fields)


class Keeper(Generic[_Kept]):
    """Keeps a login under what it is of.

    A configuration that names another server, role or page does not find it: no token goes to
    a server that it is not from.

    Args:
        kind: What is kept.
        entry: Where in the keyring.
        bound: What it is of.
    """

    def __init__(self, kind: type[_Kept], entry: Entry, bound: Mapping[str, str]) -> None:
        self._kind, self._entry, self._bound = kind, entry, dict(bound)
        self._types: dict[str, type] = get_type_hints(kind)

    def load(self) -> _Kept | None:
        """Return the login, or None where there is none of this kind. Raises as `Entry.load`."""
        entry = self._entry.load()
        return None if entry is None else self._read(entry)

    def save(self, kept: _Kept) -> None:
        """Keep a login in the place of the one before. Raises as `Entry.save`."""
        self._entry.save(json.dumps({"bound": self._bound, **asdict(kept)}))

    def drop(self) -> None:
        """Forget the login, whichever it is. Raises as `Entry.drop`."""
        self._entry.drop()

    def _read(self, entry: str) -> _Kept | None:
        try:
            whole: object = json.loads(entry)
        except (ValueError, RecursionError):
            return None
        found = cast("dict[str, Any]", whole) if isinstance(whole, dict) else {}
        if found.pop("bound", None) != self._bound or found.keys() != self._types.keys():
            return None
        fits = all(_fits(found[name], kind) for name, kind in self._types.items())
        return self._kind(**found) if fits else None


def _fits(value: object, kind: type) -> bool:
    """Return whether it is of a type, and finite: JSON as Python reads it knows other numbers."""
    return isinstance(value, kind) and not (isinstance(value, float) and not math.isfinite(value))
