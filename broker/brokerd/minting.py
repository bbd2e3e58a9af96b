"""How is a key had that is made for one lease alone, so that it ends with it whatever happens?

What ends all that may be made stands in the journal before the backend is asked, and the key's own
id before the key goes any further. So nothing is left behind by an answer that is lost, by one that
comes too late, or by a daemon that is killed at any point.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from brokerd.asking import Asking
from brokerd.backends.base import Backend, generation_of, mints
from brokerd.model import BoundedBy, Credential, Secret, Whom
from brokerd.rejections import Rejections
from brokerd.upstream import Upstream
from brokershim.errors import (
    BackendUnavailable,
    BrokerError,
    Denied,
    NotFound,
    RateLimited,
    ServerSealed,
)

_MADE_NOTHING = (Denied, NotFound, RateLimited, ServerSealed)
"""Not a standby, by itself: it may have passed the request on before it lost the active server."""


class _Order(NamedTuple):
    """What is to be made: for which lease, by whom, what ends it, and for whom it is."""

    lease: str
    backend: str
    name: str
    risk: str | None
    whom: Whom


class Minting:
    """Has keys made, each for one lease.

    Args:
        backends: The configured backends by name.
        route: Gives the name of the backend that holds a secret.
        asking: Asks the backends.
        upstream: Knows what is to be revoked, and revokes it.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    def __init__(
        self,
        backends: Mapping[str, Backend],
        route: Callable[[str], str],
        asking: Asking,
        upstream: Upstream,
        now: Callable[[], float],
    ) -> None:
        self._backends = backends
        self._route = route
        self._asking = asking
        self._upstream = upstream
        self._now = now
        self._rejections = Rejections(random.random)

    def makes(self, name: str) -> bool:
        """Return whether each lease of a secret gets a key of its own."""
        backend = self._backends[self._route(name)]
        return mints(backend) and backend.makes(name)

    def refused(self, name: str, pid: int) -> None:
        """Take in that a provider refused what was made for a process.

        One that is refused whatever it has, such as in a region that takes no such credentials,
        must not have another made for each of its calls: all who ask share the provider's limit.
        """
        self._rejections.add((name, pid), 0.0, self._now())

    async def make(self, name: str, whom: Whom) -> tuple[Secret, Credential]:
        """Return a secret's description and a key with the id of the lease that it is for.

        One that dies by itself, and that nothing ends earlier, leaves nothing to be revoked.

        Raises:
            AuditUnavailable: The journal cannot be written: nothing is made, or not for long.
            BackendUnavailable: It cannot be had now, or not in time; or several were refused.
            BrokerError: As `Backend.fetch` says.
        """
        self._rejections.check((name, whom.pid), name, self._now())
        backend = self._route(name)
        lease, risk = secrets.token_hex(8), await self._asking.prepare(backend, name)
        before = generation_of(self._backends[backend])
        if risk is not None:
            self._upstream.about_to(lease, backend, risk)
        secret, credential = await self._fetch(_Order(lease, backend, name, risk, whom))
        upstream = credential.upstream
        if upstream is not None:
            self._upstream.made(lease, backend, upstream)
        if generation_of(self._backends[backend]) != before:
            # What ends the leases of a login that is over has looked already, and saw none here.
            if upstream is not None:
                self._upstream.end(lease, backend, upstream)
            raise BackendUnavailable(f"the login at {backend} has just ended", hint="try again")
        return secret, replace(credential, lease=lease)

    async def _fetch(self, order: _Order) -> tuple[Secret, Credential]:
        lease, backend, name, risk, whom = order
        known = False  # whether it is known what was made
        try:
            secret, credential = await self._asking.make(backend, name, risk, whom)
            if credential.upstream is None and not _dies_alone(credential):
                raise BackendUnavailable(f"{backend} made a key of {name} that nothing ends")
            known = True
            return secret, credential
        except BrokerError as error:
            known = _made_nothing(error)
            if known and risk is not None:
                self._upstream.made_nothing(lease)
            raise
        finally:  # also where nobody waits for the answer any more
            if not known and risk is not None:
                self._upstream.end(lease, backend, risk)


def _dies_alone(credential: Credential) -> bool:
    """Return whether a key dies by itself, as its provider makes it, and soon."""
    return credential.bounded_by is BoundedBy.PROVIDER and credential.expires_at is not None


def _made_nothing(error: BrokerError) -> bool:
    """Return whether a backend that ends in an error has surely made nothing.

    What the error says of it goes first: a standby may have passed a request on, and then failed.
    """
    sent = error.details.get("sent")
    return sent is False or (sent is None and isinstance(error, _MADE_NOTHING))
