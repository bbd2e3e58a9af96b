"""Which leases end because their backend would not give that key any more?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from brokerd.backends.base import Backend
from brokerd.ending import Endings, Reason
from brokerd.leases import LeaseTable


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
        self._seen = {name: each.revision() for name, each in self._backends.items()}

    def look(self) -> None:
        """End the leases of each backend whose revision has changed."""
        for name, backend in self._backends.items():
            revision = backend.revision()
            if revision != self._seen[name]:
                self._seen[name] = revision
                held = [each for each in self._leases if each.backend == name]
                self._endings.end(held, Reason.REPLACED)
