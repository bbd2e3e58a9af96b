"""Has somebody put a newer key at a backend, and has everybody who holds the old one been told?

Each key that a backend keeps is asked about as often as that backend says, as long as somebody
leases it. So a newer one reaches every session within that time and one request. A backend that
is away confirms nothing: what it was last heard to have is served until it is too old.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Mapping
from contextvars import Context

from brokerd.asking import Asking
from brokerd.backends.base import Backend, WatchedBackend, is_watched
from brokerd.credentials import Credentials
from brokerd.ending import Endings, Reason
from brokerd.kept import Kept
from brokerd.leases import LeaseTable
from brokershim.errors import BackendRefused, BrokerError, NotFound

_log = logging.getLogger(__name__)


class Watching:
    """Asks the backends for newer keys.

    Args:
        backends: The configured backends by name.
        credentials: The keys that are kept.
        leases: What was given.
        endings: Ends the leases of what is not the newest any more.
        asking: Asks the backends.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        credentials: Credentials,
        leases: LeaseTable,
        endings: Endings,
        asking: Asking,
        now: Callable[[], float],
    ) -> None:
        self._backends = {name: each for name, each in backends.items() if is_watched(each)}
        self._credentials = credentials
        self._leases = leases
        self._endings = endings
        self._asking = asking
        self._now = now
        self._under_way: dict[Hashable, asyncio.Task[None]] = {}

    def look(self) -> None:
        """Begin to ask about each kept key where it is time to, and drop those that nobody uses."""
        leased = self._leases.secrets()
        for name, backend in self._backends.items():
            for key, kept in self._credentials.kept(name):
                if self._is_due(key, kept, backend):
                    self._look_at(name, key, kept, leased)

    def _is_due(self, key: Hashable, kept: Kept, backend: WatchedBackend) -> bool:
        waited = self._now() - kept.looked_at >= backend.watch_seconds
        return waited and kept.served_until is not None and key not in self._under_way

    def _look_at(self, backend: str, key: Hashable, kept: Kept, leased: set[str]) -> None:
        if kept.used_at < kept.looked_at and not leased & kept.secrets.keys():
            self._credentials.drop(kept)
            return
        kept.looked_at = self._now()
        # In no client's context: a client's place among the threads is not waited for.
        task = asyncio.get_running_loop().create_task(self._ask(backend, kept), context=Context())
        self._under_way[key] = task
        task.add_done_callback(lambda _: self._under_way.pop(key, None))

    async def _ask(self, backend: str, kept: Kept) -> None:
        name, asked_at = next(iter(kept.secrets)), self._now()
        try:
            newest = await self._asking.newest(backend, name)
        except NotFound:
            self._gone(kept, Reason.REMOVED)
        except BackendRefused:
            self._gone(kept, Reason.REFUSED)
        except BrokerError as error:
            _log.warning("nobody knows whether the key of %s is new: %s", name, error.message)
        else:
            if newest == kept.version:
                kept.confirm(asked_at)
            else:
                self._gone(kept, Reason.ROTATED)

    def _gone(self, kept: Kept, reason: Reason) -> None:
        self._credentials.drop(kept)
        for name in kept.secrets:
            held = [each for each in self._leases.of_secret(name) if each.version == kept.version]
            self._endings.end(held, reason)
