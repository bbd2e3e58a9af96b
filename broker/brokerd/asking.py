"""How is a backend asked? In a thread, not while it is known to be away, and never unseen."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TypeVar

from brokerd.audit.group import GroupCommit
from brokerd.backends.base import Backend, RotatedBackend, is_watched, mints, rotates
from brokerd.blocking import Blocking
from brokerd.breaker import Breaker
from brokerd.model import Credential, Secret, Whom
from brokerd.refusals import Refusals
from brokershim.errors import BackendUnavailable, BrokerError, NotFound, UsageError

_Result = TypeVar("_Result")
_AT_ONCE = 12
"""Requests under way at one backend: one that hangs, however many ask it, must not take every
thread of the daemon. Who waits for a place hears at once of a breaker that has opened meanwhile."""
_FLOOR_SHARE = 4
"""At most this part of a key's life is its floor, or a short-lived key would be used up as it
comes, and each request would fetch another."""


class Asking:
    """Asks backends, and writes down what they gave.

    Args:
        backends: The configured backends by name.
        breakers: Those of them that ask a server. What the others give is in no audit event of
            its own: it came from nowhere else.
        blocking: Runs what may block.
        audit: Told of each key, before it is used.
        refusals: Told of each key that was not given.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        breakers: Mapping[str, Breaker],
        blocking: Blocking,
        audit: GroupCommit,
        refusals: Refusals,
        now: Callable[[], float],
    ) -> None:
        self._backends = backends
        self._breakers = breakers
        self._blocking = blocking
        self._audit = audit
        self._refusals = refusals
        self._now = now
        self._places = {name: asyncio.Semaphore(_AT_ONCE) for name in breakers}

    async def describe(self, backend: str, name: str) -> Secret:
        """Return a secret's description; raises as `Backend.describe`, and BackendTimeout."""
        asked = self._backends[backend]
        return await self._blocking.run(f"the backend of {name}", asked.describe, name)

    async def prepare(self, backend: str, name: str) -> str | None:
        """Get a backend ready to make a key; raises as `MintingBackend.prepare`, and `fetch`."""
        asked = self._backends[backend]
        if not mints(asked):
            return None
        # Often there is nothing to do: that must not hide that every fetch after it fails.
        async with self._admitted(backend, proves=False):
            return await self._blocking.run(f"the backend of {name}", asked.prepare, name)

    async def renew(self, backend: str, name: str, upstream: str, seconds: float) -> float:
        """Let a key live on; raises as `MintingBackend.renew`, and BackendTimeout."""
        asked = self._backends[backend]
        if not mints(asked):
            raise NotFound(f"{backend} makes no keys")
        return await self.attempt(backend, f"the backend of {name}", asked.renew, upstream, seconds)

    async def newest(self, backend: str, name: str) -> str:
        """Return a secret's newest version; raises as `WatchedBackend.newest` and `fetch`."""
        asked = self._backends[backend]
        if not is_watched(asked):
            return ""
        return await self.attempt(backend, f"the backend of {name}", asked.newest, name)

    async def rotate(self, backend: str, name: str) -> str:
        """Ask for a newer key; raises as `RotatedBackend.rotate`, and UsageError.

        Returns:
            The version that it will have.
        """
        asked = (await self._rotated(backend, name)).rotate
        return await self.attempt(backend, f"the backend of {name}", asked, name)

    async def has_rotated(self, backend: str, name: str, version: str) -> bool:
        """Return whether a newer key is there; raises as `RotatedBackend.has_rotated`."""
        asked = (await self._rotated(backend, name)).has_rotated
        return await self.attempt(backend, f"the backend of {name}", asked, name, version)

    async def fetch(self, backend: str, name: str) -> tuple[Secret, Credential]:
        """Return a secret's description and a key that has some life.

        Raises:
            AuditUnavailable: That it was fetched cannot be written, so it must not be used.
            BackendUnavailable: It cannot be had now, or not in time, or is over as it comes.
            BrokerError: As `Backend.fetch` says.
        """
        return await self._had(backend, name, self._backends[backend].fetch)

    async def make(
        self, backend: str, name: str, risk: str | None, whom: Whom
    ) -> tuple[Secret, Credential]:
        """Return a secret's description and a key that was made for one lease.

        Args:
            backend: Who makes it.
            name: The secret's name.
            risk: What `prepare` returned.
            whom: Whom it is for.

        Raises:
            BrokerError: As `fetch`, and as `MintingBackend.make` says.
        """
        asked = self._backends[backend]
        if not mints(asked):
            raise NotFound(f"{backend} makes no keys")
        return await self._had(backend, name, partial(asked.make, risk=risk, whom=whom))

    async def _rotated(self, backend: str, name: str) -> RotatedBackend:
        asked = self._backends[backend]
        if rotates(asked):
            return asked
        await self.describe(backend, name)  # a name that was mistyped is no secret of its
        elsewhere = f"make one at its provider, and have it put into {backend}: apps get it there"
        here = f"make one at its provider, and store it: `brokerctl secret set {name}`"
        raise UsageError(
            f"the backend of {name} makes no newer key of it when asked",
            hint=elsewhere if backend in self._breakers else here,
        )

    async def _had(
        self, backend: str, name: str, call: Callable[[str], Credential]
    ) -> tuple[Secret, Credential]:
        if backend not in self._breakers:
            return await self._fetched(backend, name, call)
        async with self._admitted(backend):
            secret, credential = await self._seen(backend, name, call)
        await self._write(backend, name, credential)
        return secret, credential

    async def attempt(
        self, backend: str, what: str, call: Callable[..., _Result], *args: object
    ) -> _Result:
        """Return what a call of a backend returns, one that asks a server.

        Args:
            backend: Which.
            what: Names it, in the error.
            call: What to run.
            args: Its arguments.

        Raises:
            ServerDown: The backend is not asked now.
            BackendTimeout: It did not answer in time.
            BrokerError: As the call.
        """
        async with self._admitted(backend):
            return await self._blocking.run(what, call, *args)

    @asynccontextmanager
    async def _admitted(self, backend: str, *, proves: bool = True) -> AsyncGenerator[None]:
        """Let a backend be asked within, once there is a place; raises as `Breaker.attempt`."""
        async with self._places[backend]:
            with self._breakers[backend].attempt(self._now, proves=proves):
                yield

    async def _seen(
        self, backend: str, name: str, call: Callable[[str], Credential]
    ) -> tuple[Secret, Credential]:
        try:
            return await self._fetched(backend, name, call)
        except BrokerError as error:
            await self._refusals.record(error, "key.failed", secret=name, backend=backend)
            raise

    async def _fetched(
        self, backend: str, name: str, call: Callable[[str], Credential]
    ) -> tuple[Secret, Credential]:
        secret = await self.describe(backend, name)
        credential = await self._blocking.run(f"the backend of {name}", call, name)
        return secret, _usable(name, credential, self._now())

    async def _write(self, backend: str, name: str, credential: Credential) -> None:
        # What was made for one lease is told by the lease's own event: were this one to fail,
        # nobody would end what was made.
        if credential.upstream is not None:
            return
        ends = credential.expires_at
        await self._audit.record(
            "key.fetched",
            secret=name,
            backend=backend,
            version=credential.version,
            seconds=None if ends is None else round(ends - self._now()),
            bounded_by=credential.bounded_by.value,
        )


def _usable(name: str, credential: Credential, now: float) -> Credential:
    """Return a key with a floor that its life leaves room for."""
    if credential.expires_at is None:
        return credential
    life = credential.expires_at - now
    if life <= 0:
        raise BackendUnavailable(
            f"the key of {name} was over as it came",
            hint="see whether this machine's clock is right",
        )
    return replace(credential, floor=min(credential.floor, life / _FLOOR_SHARE))
