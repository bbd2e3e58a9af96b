"""Has somebody put a newer key at a backend, and has everybody who holds the old one been told?

Each key that a backend keeps is asked about as often as that backend says, as long as somebody
leases it. So a newer one reaches every session within that time, one tick of the daemon, and the
requests for the backend's keys that are due with it: they are made one after the other, as a
backend that hangs must not take all of the daemon's threads. A backend that is away confirms
nothing: what it was last heard to have is served until it is too old.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Mapping
from contextvars import Context
from functools import partial

from brokerd.asking import Asking
from brokerd.backends.base import Backend, is_watched
from brokerd.credentials import Credentials
from brokerd.ending import Endings, Reason
from brokerd.kept import Kept
from brokerd.leases import Lease, LeaseTable
from brokershim.errors import BrokerError, Denied, NotFound

_log = logging.getLogger(__name__)
_Due = tuple[Hashable, Kept]


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
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def look(self) -> None:
        """Begin to ask about each kept key where it is time to, and drop those that nobody uses."""
        for name, backend in self._backends.items():
            if name not in self._under_way:
                due = self._due(name, backend.watch_seconds)
                if due:
                    self._begin(name, due)

    def replaced(self, secret: str, newest: str) -> int:
        """Take in that a secret has a newer key; return how many leases of others it ended.

        Args:
            secret: Its name.
            newest: The version of the newer one.
        """
        key = self._credentials.key_of(secret)
        held = [each for each in self._held(key) if each.version != newest]
        kept = [each for other, each in self._credentials.kept(key.backend) if other == key]
        # By version: one that is on its way, and was asked for before, is not to be kept either.
        before = {each.version for each in held} | {each.version for each in kept}
        for version in before - {newest}:
            self._credentials.forget(secret, version)
        return self._endings.end(held, Reason.ROTATED)

    def _due(self, backend: str, every: float) -> list[_Due]:
        """Return the keys that it is time to ask about; those that nobody uses are dropped."""
        due: list[_Due] = []
        for key, kept in self._credentials.kept(backend):
            if kept.served_until is None or self._now() - kept.looked_at < every:
                continue
            if kept.used_at >= kept.looked_at or self._held(key):
                due.append((key, kept))
            else:
                self._credentials.drop(kept)
        return due

    def _begin(self, backend: str, due: list[_Due]) -> None:
        # In no client's context: a client's place among the threads is not waited for.
        task = asyncio.get_running_loop().create_task(self._ask(backend, due), context=Context())
        self._under_way[backend] = task
        task.add_done_callback(partial(self._done, backend))

    def _done(self, backend: str, task: asyncio.Task[None]) -> None:
        del self._under_way[backend]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # Not its text: it is a fault of ours, so nobody knows what is in it.
            _log.error("backend %s cannot be watched: %s", backend, type(error).__name__)

    async def _ask(self, backend: str, due: list[_Due]) -> None:
        for key, kept in due:
            kept.looked_at = self._now()
            await self._ask_about(backend, key, kept)

    async def _ask_about(self, backend: str, key: Hashable, kept: Kept) -> None:
        name, asked_at = next(iter(kept.secrets)), self._now()
        try:
            newest = await self._asking.newest(backend, name)
        except NotFound:
            self._gone(key, kept, Reason.REMOVED)
        except Denied:  # by the backend, or in logging in to it: whose login is over has no key
            self._gone(key, kept, Reason.REFUSED)
        except BrokerError as error:
            _log.warning("nobody knows whether the key of %s is new: %s", name, error.message)
        else:
            if newest == kept.version:
                kept.confirm(asked_at)
            self._gone(key, kept, Reason.ROTATED, newest)

    def _gone(self, key: Hashable, kept: Kept, reason: Reason, newest: str | None = None) -> None:
        """Drop what is not the newest version, and end its leases."""
        if not self._credentials.keeps(kept):
            return  # what was asked about has been replaced meanwhile: the next look is about that
        if kept.version != newest:
            self._credentials.drop(kept)
        # Also what was leased before the kept key was fetched.
        self._endings.end([each for each in self._held(key) if each.version != newest], reason)

    def _held(self, key: Hashable) -> list[Lease]:
        shared = [each for each in self._leases if each.upstream is None]
        return [each for each in shared if self._credentials.key_of(each.secret) == key]
