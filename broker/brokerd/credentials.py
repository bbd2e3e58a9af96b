"""Where is a key held between two leases of it, and who fetches it?

Sealed in memory, fetched once however many ask at the same time, and fetched again as soon as
the backend's revision says so. A credential that the backend made for one lease (it has an
upstream id) is never kept: it ends with that lease.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Mapping
from contextvars import Context
from dataclasses import dataclass, replace
from typing import NamedTuple

from brokerd.backends.base import Backend
from brokerd.blocking import Blocking
from brokerd.model import Credential, Secret
from brokerd.sealed import Sealed, Sealer
from brokershim.errors import BackendUnavailable
from brokershim.reference import is_key

FLOOR_SECONDS = 30.0
"""A credential with less life left than this is fetched again before it is handed out."""
_ATTEMPTS = 3
"""Fetches for one request, should what each of them brings be out of date by then."""


@dataclass(frozen=True)
class _Kept:
    secret: Secret
    credential: Credential
    """Without its value."""
    sealed: Sealed
    revision: Hashable


class _Fetched(NamedTuple):
    secret: Secret
    credential: Credential
    revision: Hashable
    refused: bool
    """Whether a provider refused that very version while it was fetched."""


class Credentials:
    """Keys, sealed while no reply is being made of them.

    Args:
        backends: The configured backends by name.
        route: Gives the name of the backend that holds a secret.
        sealer: Seals what is kept.
        blocking: Runs what may block.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        route: Callable[[str], str],
        sealer: Sealer,
        blocking: Blocking,
        now: Callable[[], float],
    ) -> None:
        self._backends = backends
        self._route = route
        self._sealer = sealer
        self._blocking = blocking
        self._now = now
        self._kept: dict[str, _Kept] = {}
        self._flights: dict[str, asyncio.Task[_Fetched]] = {}
        self._refused: dict[str, str] = {}

    async def get(self, name: str) -> tuple[Secret, Credential]:
        """Return a secret's description and its key.

        It is up to date as this returns: a key that was replaced, removed or locked away while
        it was fetched is not handed out, for the leases that this ends are ended already.

        Raises:
            SecretNotFound: No backend has it.
            BackendUnavailable: It cannot be had now, or not in time.
            Locked: The store that holds it is locked.
        """
        for _ in range(_ATTEMPTS):
            kept = self._kept.get(name)
            if kept is not None and self._is_good(kept):
                value = self._sealer.open(kept.sealed, name.encode())
                return kept.secret, replace(kept.credential, value=value)
            found = await self._fetch_once(name)
            if found.credential.upstream is not None or self._is_current(found):
                return found.secret, found.credential
        raise BackendUnavailable(f"{name} changed whenever it was fetched", hint="try again")

    async def describe(self, name: str) -> Secret:
        """Return a secret's description, without fetching its key.

        Raises:
            SecretNotFound: No backend has it.
            BackendUnavailable: It cannot be told now, or not in time.
            Locked: The store that holds it is locked.
        """
        kept = self._kept.get(name)
        if kept is not None and self._is_good(kept):
            return kept.secret
        return await self._blocking.run(
            f"the backend of {name}", self._backend(name).describe, name
        )

    def forget(self, name: str, version: str) -> None:
        """Drop a key that a provider refused, unless a newer one has taken its place."""
        kept = self._kept.get(name)
        if kept is not None and kept.credential.version == version:
            del self._kept[name]
        if name in self._flights:  # what it brings may be that key once more
            self._refused[name] = version

    def clear(self) -> None:
        """Drop every key."""
        self._kept.clear()

    def _is_good(self, kept: _Kept) -> bool:
        ends = kept.credential.expires_at
        alive = ends is None or ends - self._now() > FLOOR_SECONDS
        return alive and kept.revision == self._backend(kept.secret.name).revision()

    def _is_current(self, found: _Fetched) -> bool:
        return not found.refused and found.revision == self._backend(found.secret.name).revision()

    def _backend(self, name: str) -> Backend:
        return self._backends[self._route(name)]

    async def _fetch_once(self, name: str) -> _Fetched:
        """Join the fetch that is under way, or start one.

        What was made for one lease is not shared: ending that lease would end the others' key.
        """
        flight = self._flights.get(name)
        if flight is not None:
            found = await asyncio.shield(flight)
            return found if found.credential.upstream is None else await self._fetch(name)
        self._refused.pop(name, None)
        # In no client's context: one that has used up its threads must not hold up who joins.
        loop = asyncio.get_running_loop()
        flight = loop.create_task(self._fetch(name), context=Context())
        self._flights[name] = flight
        flight.add_done_callback(lambda _: self._flights.pop(name, None))
        # Shielded: a caller that gives up must not take the others' key away.
        return await asyncio.shield(flight)

    async def _fetch(self, name: str) -> _Fetched:
        backend = self._backend(name)
        # Taken before the fetch: a change while it runs makes what it brings stale at once.
        revision = backend.revision()
        what = f"the backend of {name}"
        secret = await self._blocking.run(what, backend.describe, name)
        credential = await self._blocking.run(what, backend.fetch, name)
        refused = self._refused.pop(name, None) == credential.version
        if credential.upstream is None and not refused:
            sealed = self._sealer.seal(credential.value, name.encode())
            self._kept[name] = _Kept(secret, replace(credential, value=b""), sealed, revision)
        return _Fetched(secret, credential, revision, refused)


def header_text(name: str, credential: Credential) -> str:
    """Return the key as text that a header can hold.

    With a line end in it, an HTTP library refuses the header, and repeats it in its error.

    Raises:
        BackendUnavailable: It cannot stand there. The message holds nothing of it.
    """
    value = credential.value.decode("latin-1")
    if not is_key(value):
        raise BackendUnavailable(
            f"the key of {name} has a space, a line end, or a character that no key has",
            hint="look at what its backend holds",
        )
    return value
