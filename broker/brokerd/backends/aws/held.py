"""Which credentials are kept between two uses of them, and until when?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from brokerd.backends.aws.login.base import Keys
from brokerd.backends.flight import Flight
from brokershim.errors import BackendUnavailable, IdentityUnavailable

_SHARE = 2 / 3
"""Of their life, after which newer ones are asked for."""
_PAUSE_SECONDS = 30.0
"""Until newer ones are asked for again, where that failed and the old ones still live."""
_FLOOR_SECONDS = 60.0
"""What has less life than this left is not used any more: a request takes its time, too."""
_ATTEMPTS = 3


@dataclass(frozen=True)
class _Entry:
    revision: Hashable
    keys: Keys
    due_at: float


class Held:
    """Credentials by what they are for. For use by any number of threads.

    Args:
        revision: Tells who is logged in; what was had before it changed is dropped.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    def __init__(self, revision: Callable[[], Hashable], now: Callable[[], float]) -> None:
        self._revision, self._now = revision, now
        self._lock = threading.Lock()
        self._entries: dict[Hashable, _Entry] = {}
        self._flights: dict[Hashable, Flight[Keys]] = {}

    def get(self, what: Hashable, take: Callable[[], Keys]) -> Keys:
        """Return what is kept, or else what one attempt of all who want it brings.

        Args:
            what: What it is for.
            take: Asks for new ones.

        Raises:
            IdentityUnavailable: Whoever is logged in changed whenever they were asked for.
            BrokerError: As ``take``.
        """
        found = self._fresh(what)
        if found is not None:
            return found
        with self._lock:
            flight = self._flights.setdefault(what, Flight())
        try:
            return flight.join(lambda: self._fresh(what) or self._renewed(what, take))
        finally:
            self._landed(what, flight)

    def _landed(self, what: Hashable, flight: Flight[Keys]) -> None:
        """Forget an attempt: there may be one for every set of secrets that are read at once."""
        with self._lock:
            if self._flights.get(what) is flight:
                del self._flights[what]

    def forget(self, keys: Keys) -> None:
        """Keep some credentials no longer: they are over."""
        with self._lock:
            self._entries = {
                what: each for what, each in self._entries.items() if each.keys != keys
            }

    def _fresh(self, what: Hashable) -> Keys | None:
        revision, now = self._revision(), self._now()
        with self._lock:
            self._entries = {
                key: each
                for key, each in self._entries.items()
                if each.revision == revision and now < (each.keys.expires_at or 0.0)
            }
            found = self._entries.get(what)
        return found.keys if found is not None and now < found.due_at else None

    def _renewed(self, what: Hashable, take: Callable[[], Keys]) -> Keys:
        """Return newer ones; the old ones while there are none and they live."""
        try:
            return self._taken(what, take)
        except BackendUnavailable:
            with self._lock:
                old = self._entries.get(what)
            if old is None or old.revision != self._revision() or self._left(old.keys) <= 0:
                raise
            pause = min(_PAUSE_SECONDS, self._left(old.keys))
            self._keep(what, _Entry(old.revision, old.keys, self._now() + pause))
            return old.keys

    def _taken(self, what: Hashable, take: Callable[[], Keys]) -> Keys:
        for _ in range(_ATTEMPTS):
            revision, asked_at = self._revision(), self._now()
            keys = take()
            if self._revision() == revision:
                if keys.expires_at is not None:  # others never die, and are their source's to keep
                    due_at = asked_at + _SHARE * (keys.expires_at - asked_at)
                    self._keep(what, _Entry(revision, keys, due_at))
                return keys
        raise IdentityUnavailable("who is logged in changed whenever AWS was asked for credentials")

    def _left(self, keys: Keys) -> float:
        return (keys.expires_at or 0.0) - _FLOOR_SECONDS - self._now()

    def _keep(self, what: Hashable, entry: _Entry) -> None:
        with self._lock:
            self._entries[what] = entry
