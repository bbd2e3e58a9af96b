"""Where is a key held between two leases of it, and who fetches it?

Sealed in memory, fetched once however many ask at the same time, and fetched again as soon as
the backend's revision says so. One that dies by itself is refreshed while it is still served, by
one task in the background: while it lives, a backend that is away does not matter, and once it is
dead nobody gets it. A static one is served for so long after its backend was last heard to have no
other. What a backend makes for one lease is never kept: it ends with that lease (`minting.py`).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from contextvars import Context
from functools import partial
from typing import NamedTuple

from brokerd.asking import Asking
from brokerd.backends.base import Backend
from brokerd.kept import Kept, keep
from brokerd.model import Credential, Secret
from brokerd.rejections import Rejections
from brokerd.sealed import Sealer
from brokershim.errors import BackendUnavailable, BrokerError

_ATTEMPTS = 3
"""Fetches for one request, should what each of them brings be out of date by then."""
_Found = tuple[Secret, Credential]
_log = logging.getLogger(__name__)


class _Key(NamedTuple):
    """One key of one backend: it may serve several secrets."""

    backend: str
    key: Hashable


class Credentials:
    """Keys, sealed while no reply is being made of them.

    Args:
        backends: The configured backends by name.
        route: Gives the name of the backend that holds a secret.
        sealer: Seals what is kept.
        asking: Asks the backends.
        now: The time, in seconds of `brokershim.clock.now`.
        draw: Gives a number from 0 to 1, at random, for the jitter.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        route: Callable[[str], str],
        sealer: Sealer,
        asking: Asking,
        now: Callable[[], float],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._backends = backends
        self._route = route
        self._sealer = sealer
        self._asking = asking
        self._now = now
        self._draw = draw
        self._kept: dict[_Key, Kept] = {}
        self._flights: dict[_Key, asyncio.Task[None]] = {}
        self._refused: dict[_Key, set[str]] = {}
        self._rejections = Rejections(draw)
        self._cleared: Counter[str] = Counter()

    async def get(self, name: str) -> _Found:
        """Return a secret's description and its key.

        It is up to date as this returns: a key that was replaced, removed or locked away while
        it was fetched is not handed out, for the leases that this ends are ended already.

        Raises:
            SecretNotFound: No backend has it.
            BackendUnavailable: It cannot be had now, or not in time.
            Locked: The store that holds it is locked.
            AuditUnavailable: That it was fetched cannot be written.
        """
        for _ in range(_ATTEMPTS):
            found = self._from_memory(name)
            if found is not None:
                return found
            await self._bring(name)
        found = self._from_memory(name)
        if found is None:
            raise BackendUnavailable(f"{name} changed whenever it was fetched", hint="try again")
        return found

    def served_until(self, name: str, version: str) -> float | None:
        """Return when a secret's key is too old to be served, as far as it is kept and is."""
        kept = self._kept.get(self.key_of(name))
        return None if kept is None or kept.version != version else kept.served_until

    def kept(self, backend: str) -> list[tuple[Hashable, Kept]]:
        """Return the keys of a backend that are of use now, each with what tells it apart."""
        mine = [key for key in self._kept if key.backend == backend]
        return [(key, kept) for key in mine if (kept := self._good(key)) is not None]

    def key_of(self, name: str) -> _Key:
        """Return what tells a secret's key apart from all others."""
        backend = self._route(name)
        return _Key(backend, self._backends[backend].key_of(name))

    def keeps(self, kept: Kept) -> bool:
        """Return whether a key is still kept."""
        return any(each is kept for each in self._kept.values())

    def drop(self, kept: Kept) -> None:
        """Drop a key that is kept, if it still is."""
        self._kept = {key: each for key, each in self._kept.items() if each is not kept}

    async def describe(self, name: str) -> Secret:
        """Return a secret's description, without fetching its key.

        Its version is that of the key which is given now, or else what the backend says.

        Raises:
            SecretNotFound: No backend has it.
            BackendUnavailable: It cannot be told now, or not in time.
            Locked: The store that holds it is locked.
        """
        kept = self._good(self.key_of(name))
        if kept is None:
            return await self._asking.describe(self._route(name), name)
        if name not in kept.secrets:
            await self._describe(kept, name)
        return kept.secrets[name]

    def forget(self, name: str, version: str) -> None:
        """Drop a key that a provider refused, unless a newer one has taken its place."""
        key = self.key_of(name)
        kept = self._kept.get(key)
        if kept is not None and kept.version == version:
            del self._kept[key]
            if kept.dies:  # a static key is not replaced: it is only read again
                self._rejections.add(key, self._now() - kept.fetched_at, self._now())
        if key in self._flights:  # what it brings may be that key once more
            self._refused.setdefault(key, set()).add(version)

    def clear(self, backend: str) -> None:
        """Drop every key of a backend, also those that are on their way."""
        self._cleared[backend] += 1
        self._kept = {key: kept for key, kept in self._kept.items() if key.backend != backend}

    def refresh_due(self, names: Iterable[str]) -> None:
        """Begin to fetch what is due of some secrets' keys, and drop the keys that are dead."""
        now = self._now()
        self._kept = {key: kept for key, kept in self._kept.items() if not kept.is_over(now)}
        for name in names:
            self._refresh_if_due(name)

    def _from_memory(self, name: str) -> _Found | None:
        kept = self._good(self.key_of(name))
        if kept is None or name not in kept.secrets:
            return None
        self._refresh_if_due(name)
        return kept.secrets[name], kept.opened(self._sealer, self._now())

    async def _bring(self, name: str) -> None:
        """Bring what is missing into memory."""
        if self._good(self.key_of(name)) is None:
            await self._fetch_once(name)
        kept = self._good(self.key_of(name))
        if kept is not None and name not in kept.secrets:  # fetched for another that it serves
            await self._describe(kept, name)

    async def _describe(self, kept: Kept, name: str) -> None:
        kept.describe(await self._asking.describe(self._route(name), name))

    def _good(self, key: _Key) -> Kept | None:
        kept = self._kept.get(key)
        if kept is None or kept.basis != self._basis(key.backend):
            return None
        return kept if kept.may_be_given(self._now()) else None

    def _basis(self, backend: str) -> Hashable:
        return self._backends[backend].revision(), self._cleared[backend]

    def _refresh_if_due(self, name: str) -> None:
        key = self.key_of(name)
        kept = self._kept.get(key)
        if kept is None or key in self._flights or not kept.is_due(self._now()):
            return
        if kept.basis == self._basis(key.backend):  # else it is of no use, and is not renewed
            self._take_off(key, name).add_done_callback(partial(_report, name))

    async def _fetch_once(self, name: str) -> None:
        """Join the fetch that is under way, or start one."""
        key = self.key_of(name)
        flight = self._flights.get(key)
        if flight is None:
            self._rejections.check(key, name, self._now())
            flight = self._take_off(key, name)
        # Shielded: a caller that gives up must not take the others' key away.
        await asyncio.shield(flight)

    def _take_off(self, key: _Key, name: str) -> asyncio.Task[None]:
        # In no client's context: one that has used up its threads must not hold up who joins.
        loop = asyncio.get_running_loop()
        flight = loop.create_task(self._fly(key, name), context=Context())
        self._flights[key] = flight
        flight.add_done_callback(_failure)  # looked at, though everybody may have given up
        return flight

    async def _fly(self, key: _Key, name: str) -> None:
        before = self._kept.get(key)
        try:
            await self._fetch(key, name)
        finally:
            del self._flights[key]
            self._refused.pop(key, None)
            if before is not None and self._kept.get(key) is before:
                before.not_refreshed(self._now(), self._draw)

    async def _fetch(self, key: _Key, name: str) -> None:
        """Fetch a key and keep it."""
        # Taken before the fetch: a change while it runs makes what it brings stale at once.
        basis = self._basis(key.backend)
        secret, credential = await self._asking.fetch(key.backend, name)
        if credential.version not in self._refused.get(key, ()):
            now = self._now()
            self._kept[key] = keep(self._sealer, key, secret, credential, basis, now)


def _failure(flight: asyncio.Task[None]) -> BaseException | None:
    return None if flight.cancelled() else flight.exception()


def _report(name: str, flight: asyncio.Task[None]) -> None:
    """Say why nobody who asks later will have a newer key: this flight was for no request."""
    error = _failure(flight)
    if error is not None:
        # Of another error not even the text: it may be of anywhere, and hold anything.
        why = error.message if isinstance(error, BrokerError) else type(error).__name__
        _log.warning("the key of %s is not refreshed yet: %s", name, why)
