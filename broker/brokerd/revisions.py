"""Which leases end because their backend would not give that key any more, or it is over there?"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import NamedTuple

from brokerd.backends.base import Backend, generation_of
from brokerd.ending import Endings, Reason
from brokerd.leases import LeaseTable


class _Seen(NamedTuple):
    """How a backend was: what all its keys go by, and what those go by that it made."""

    revision: Hashable
    generation: Hashable


class Revisions:
    """Follows the backends' revisions, as after a login as somebody else, or a logout.

    Args:
        backends: The configured backends by name.
        watched: The names of those whose revision is about every key of theirs.
        leases: What was given.
        endings: Ends what would be another key now.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        watched: Iterable[str],
        leases: LeaseTable,
        endings: Endings,
    ) -> None:
        self._backends = {name: backends[name] for name in watched}
        self._leases = leases
        self._endings = endings
        self._seen = {name: _seen(each) for name, each in self._backends.items()}

    def look(self) -> None:
        """End the leases of each backend whose revision has changed, or of what is over there."""
        for name, backend in self._backends.items():
            before, now = self._seen[name], _seen(backend)
            if now != before:
                self._seen[name] = now
                held = [each for each in self._leases if each.backend == name]
                if now.revision == before.revision:
                    held = [each for each in held if each.upstream is not None]
                self._endings.end(held, Reason.REPLACED)


def _seen(backend: Backend) -> _Seen:
    return _Seen(backend.revision(), generation_of(backend))
