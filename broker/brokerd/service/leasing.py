"""lease.*: the six steps of a lease's life, in order, from the request to the reply."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Any

from brokerd.ending import Reason
from brokerd.header import header_text
from brokerd.leases import Lease
from brokerd.model import Credential, Secret, Whom
from brokerd.naming import check_name
from brokerd.policy import Policy
from brokerd.service.parts import Caller, Parts
from brokerd.service.terms import Terms, check_not_barred
from brokerd.sessions import Session
from brokershim.errors import (
    BackendRefused,
    BackendUnavailable,
    BrokerError,
    InvalidParams,
    LimitExceeded,
    NotFound,
)

_log = logging.getLogger(__name__)
MAX_LEASES = 10_240
"""Leases that a connection may hold: one that never gives any back must not fill the memory."""


class Leasing:
    """Gives, renews and ends leases."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._terms = Terms(parts)

    async def acquire(
        self, caller: Caller, *, secret: str, session: str | None = None
    ) -> dict[str, Any]:
        """Lease a secret to the calling process; the reply holds the key."""
        check_name(secret)
        try:
            return await self._acquire(caller, secret, session)
        except BrokerError as error:
            peer = caller.peer
            await self._parts.refusals.record(
                error, secret=secret, pid=peer.pid, executable=peer.executable()
            )
            raise

    async def _acquire(self, caller: Caller, name: str, label: str | None) -> dict[str, Any]:
        parts = self._parts
        session = parts.sessions.require(caller.peer, label)
        limit, policy = self._terms.granted(session, name), parts.policy.last_read
        if parts.leases.held_by(caller.number) >= MAX_LEASES:
            raise LimitExceeded(f"this connection holds {MAX_LEASES} leases already")
        secret, credential = await self._had(caller, session, name)
        lease = self._lease(caller, session, secret, credential, limit)
        # From here on the lease can be revoked, and is, should any step below fail. Nothing waits
        # between the key's coming and this, so that none is made without its lease.
        parts.leases.add(lease)
        try:
            value = header_text(name, credential)
            await self._check_again(caller, session, lease, policy)
        except BrokerError:
            parts.endings.end([lease], Reason.UNDELIVERED)
            raise
        return _given(lease, secret, value, self._terms.reply(lease))

    async def _check_again(
        self, caller: Caller, session: Session, lease: Lease, policy: Policy
    ) -> None:
        """Look at it all once more, and write it down, before the key goes out.

        Args:
            caller: Who gets it.
            session: Which it is given to.
            lease: What is given.
            policy: The policy under which it was granted.
        """
        parts = self._parts
        parts.sessions.confirm(caller.peer, session)
        check_not_barred(session, lease.secret)  # again: all may have been revoked meanwhile
        if parts.policy.last_read is not policy:
            # What ends leases as the policy changes has looked already, and saw none here.
            self._terms.granted(session, lease.secret)
        await self._audit(caller, lease)
        self._terms.still_live(caller, lease)
        if not self._terms.lives_on(lease):
            raise BackendUnavailable("the key is about to expire", hint="try again in a moment")

    async def _had(self, caller: Caller, session: Session, name: str) -> tuple[Secret, Credential]:
        """Return a key: the one that all leases share, or one that is made for this."""
        parts, launch = self._parts, session.launch
        if not parts.minting.makes(name):
            return await parts.credentials.get(name)
        whom = Whom(session.id, caller.peer.pid, launch.program, launch.project or "")
        return await parts.minting.make(name, whom)

    async def renew(self, caller: Caller, *, lease: str) -> dict[str, Any]:
        """Give a lease more time, on the same conditions under which it was given."""
        parts, held = self._parts, self._terms.held(caller, lease)
        session = parts.sessions.require(caller.peer, held.session)
        limit = self._terms.granted(session, held.secret)
        await self._prolong(held, limit)
        if not self._terms.lives_on(held):
            parts.endings.end([held], Reason.EXPIRED)
        self._terms.still_live(caller, held)
        secret = await parts.credentials.describe(held.secret)
        if held.upstream is None and secret.version not in ("", held.version):
            static = held.key_expires_at is None
            parts.endings.end([held], Reason.ROTATED if static else Reason.REPLACED)
        ttl = min(limit or secret.max_ttl, secret.max_ttl)
        self._terms.still_live(caller, held)
        await parts.audit.record("lease.renewed", lease=held.id, secret=held.secret)
        self._terms.still_live(caller, held)
        # Never less than its holder was told, unless the key itself does not live so long.
        ttl = max(ttl, held.expires_at - parts.now())
        parts.leases.extend(held, self._terms.expiry(ttl, held))
        return self._terms.reply(held)

    async def report(self, caller: Caller, *, lease: str, status: int) -> dict[str, Any]:
        """Take in that the provider refused the key: the lease ends, the key is fetched anew."""
        if status not in (401, 403):
            raise InvalidParams("status is not 401 or 403")
        held = self._terms.held(caller, lease)
        if self._parts.minting.makes(held.secret):
            self._parts.minting.refused(held.secret, held.pid)
        self._parts.credentials.forget(held.secret, held.version)
        self._parts.endings.end([held], Reason.REJECTED)
        return {}

    async def release(self, caller: Caller, *, lease: str) -> dict[str, Any]:
        """End a lease that its holder is done with."""
        self._parts.endings.end([self._terms.held(caller, lease)], Reason.RELEASED)
        return {}

    async def _prolong(self, held: Lease, limit: float | None) -> None:
        """Let a key live on that was made for a lease; where nobody can be asked, its end stays."""
        if held.upstream is None:
            return
        parts, seconds = self._parts, held.max_ttl if limit is None else min(limit, held.max_ttl)
        try:
            held.key_expires_at = await parts.asking.renew(
                held.backend, held.secret, held.upstream, seconds
            )
        except NotFound:
            parts.endings.end([held], Reason.REPLACED)
        except (BackendUnavailable, BackendRefused) as error:
            _log.warning("the key of lease %s is not renewed: %s", held.id, error.message)

    def _lease(
        self,
        caller: Caller,
        session: Session,
        secret: Secret,
        credential: Credential,
        limit: float | None,
    ) -> Lease:
        ttl = min(limit or secret.max_ttl, secret.max_ttl)
        lease = Lease(
            id=credential.lease or secrets.token_hex(8),
            secret=secret.name,
            version=credential.version,
            session=session.id,
            connection=caller.number,
            pid=caller.peer.pid,
            bounded_by=credential.bounded_by,
            expires_at=0.0,
            key_expires_at=credential.expires_at,
            floor=credential.floor,
            backend=secret.backend,
            upstream=credential.upstream,
            max_ttl=secret.max_ttl,
        )
        lease.expires_at = self._terms.expiry(ttl, lease)
        return lease

    async def _audit(self, caller: Caller, lease: Lease) -> None:
        await self._parts.audit.record(
            "lease.acquired",
            lease=lease.id,
            secret=lease.secret,
            version=lease.version,
            session=lease.session,
            pid=lease.pid,
            executable=caller.peer.executable(),
            seconds=round(lease.expires_at - self._parts.now()),
            bounded_by=lease.bounded_by.value,
        )


def _given(lease: Lease, secret: Secret, value: str, times: Mapping[str, Any]) -> dict[str, Any]:
    """Return the one reply that holds a key."""
    return {
        **times,
        "secret": secret.name,
        "value": value,
        "hosts": list(secret.hosts),
        "bounded_by": lease.bounded_by.value,
        "delivery": {
            "bearer": secret.delivery.bearer,
            "headers": dict(secret.delivery.headers),
            "signs": secret.delivery.signs,
        },
    }
