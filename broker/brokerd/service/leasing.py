"""lease.*: the six steps of a lease's life, in order, from the request to the reply."""

from __future__ import annotations

import secrets
from typing import Any

from brokerd.credentials import header_text
from brokerd.ending import Reason
from brokerd.leases import Lease
from brokerd.model import Credential, Secret
from brokerd.naming import check_name
from brokerd.service.paging import number_of, page
from brokerd.service.parts import Caller, Parts
from brokerd.sessions import Session
from brokershim.errors import (
    BackendUnavailable,
    BrokerError,
    InvalidParams,
    LeaseNotFound,
    LimitExceeded,
    NotGranted,
    PeerGone,
)

MAX_LEASES = 10_240
"""Leases that a connection may hold: one that never gives any back must not fill the memory."""


class Leasing:
    """Gives, renews and ends leases."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

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
        limit, policy = self._granted(session, name), parts.policy.last_read
        if parts.leases.held_by(caller.number) >= MAX_LEASES:
            raise LimitExceeded(f"this connection holds {MAX_LEASES} leases already")
        secret, credential = await parts.credentials.get(name)
        lease = self._lease(caller, session, secret, credential, limit)
        # From here on the lease can be revoked, and is, should any step below fail.
        parts.leases.add(lease)
        try:
            value = header_text(name, credential)
            parts.upstream.opened(lease)
            parts.sessions.confirm(caller.peer, session)
            _check_not_barred(session, name)  # again: all may have been revoked meanwhile
            if parts.policy.last_read is not policy:
                # What ends leases as the policy changes has looked already, and saw none here.
                self._granted(session, name)
            await self._audit(caller, lease)
            self._still_live(caller, lease)
            if not self._lives_on(lease):
                raise BackendUnavailable("the key is about to expire", hint="try again in a moment")
        except BrokerError:
            parts.endings.end([lease], Reason.UNDELIVERED)
            raise
        return {
            **self._terms(lease),
            "secret": name,
            "value": value,
            "hosts": list(secret.hosts),
            "bounded_by": lease.bounded_by.value,
            "delivery": {
                "bearer": secret.delivery.bearer,
                "headers": dict(secret.delivery.headers),
            },
        }

    async def renew(self, caller: Caller, *, lease: str) -> dict[str, Any]:
        """Give a lease more time, on the same conditions under which it was given."""
        parts, held = self._parts, self._held(caller, lease)
        session = parts.sessions.require(caller.peer, held.session)
        limit = self._granted(session, held.secret)
        if not self._lives_on(held):
            parts.endings.end([held], Reason.EXPIRED)
        self._still_live(caller, held)
        secret = await parts.credentials.describe(held.secret)
        if held.upstream is None and secret.version not in ("", held.version):
            static = held.key_expires_at is None
            parts.endings.end([held], Reason.ROTATED if static else Reason.REPLACED)
        ttl = min(limit or secret.max_ttl, secret.max_ttl)
        self._still_live(caller, held)
        await parts.audit.record("lease.renewed", lease=held.id, secret=held.secret)
        self._still_live(caller, held)
        parts.leases.extend(held, _expiry(parts.now(), ttl, held.key_expires_at))
        return self._terms(held)

    async def report(self, caller: Caller, *, lease: str, status: int) -> dict[str, Any]:
        """Take in that the provider refused the key: the lease ends, the key is fetched anew."""
        if status not in (401, 403):
            raise InvalidParams("status is not 401 or 403")
        held = self._held(caller, lease)
        self._parts.credentials.forget(held.secret, held.version)
        self._parts.endings.end([held], Reason.REJECTED)
        return {}

    async def release(self, caller: Caller, *, lease: str) -> dict[str, Any]:
        """End a lease that its holder is done with."""
        self._parts.endings.end([self._held(caller, lease)], Reason.RELEASED)
        return {}

    async def revoke(
        self,
        caller: Caller,
        *,
        lease: str | None = None,
        all: bool = False,  # noqa: A002  (the wire's name for it)
    ) -> dict[str, Any]:
        """End one lease, or all, by hand; the sessions may not lease those secrets again."""
        if (lease is None) is not all:
            raise InvalidParams("give either lease or all")
        chosen = list(self._parts.leases) if lease is None else [self._live(lease)]
        for session in self._parts.sessions:
            named = {each.secret for each in chosen if each.session == session.id}
            # With all, also what is only about to be leased.
            session.barred.update(session.secrets if lease is None else named)
        ended = self._parts.endings.end(chosen, Reason.REVOKED)
        # After the end, which nothing may hold up.
        await self._parts.audit.record("lease.revoked", leases=ended, by=caller.peer.pid)
        await self._parts.endings.settle()
        return {"revoked": ended}

    async def list_all(self, caller: Caller, *, after: str | None = None) -> dict[str, Any]:
        """Return one page of the live leases, without their keys."""
        del caller
        later = self._parts.leases.after(number_of(after))
        return page("leases", later, self._row, lambda lease: str(lease.number))

    def _granted(self, session: Session, name: str) -> float | None:
        if name not in session.secrets:
            raise NotGranted(f"session {session.id} was not opened for {name}")
        _check_not_barred(session, name)
        policy = self._parts.policy.current()
        return policy.max_ttl(session.asker, name, name in session.approved)

    def _lease(
        self,
        caller: Caller,
        session: Session,
        secret: Secret,
        credential: Credential,
        limit: float | None,
    ) -> Lease:
        now = self._parts.now()
        ttl = min(limit or secret.max_ttl, secret.max_ttl)
        return Lease(
            id=secrets.token_hex(8),
            secret=secret.name,
            version=credential.version,
            session=session.id,
            connection=caller.number,
            pid=caller.peer.pid,
            bounded_by=credential.bounded_by,
            expires_at=_expiry(now, ttl, credential.expires_at),
            key_expires_at=credential.expires_at,
            floor=credential.floor,
            backend=secret.backend,
            upstream=credential.upstream,
        )

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

    def _lives_on(self, lease: Lease) -> bool:
        """Return whether there is time to use the lease's key before it dies."""
        ends = lease.key_expires_at
        return ends is None or ends - self._parts.now() >= lease.floor

    def _still_live(self, caller: Caller, lease: Lease) -> None:
        """Look once more, after waiting: it may have been revoked, or nobody be there."""
        if self._parts.leases.get(lease.id) is not lease:
            raise LeaseNotFound(f"lease {lease.id} has ended", hint="acquire another")
        if not (caller.open and caller.peer.alive()):
            raise PeerGone(f"process {lease.pid} has ended")

    def _held(self, caller: Caller, lease_id: str) -> Lease:
        lease = self._live(lease_id)
        if lease.connection != caller.number:
            raise LeaseNotFound(f"this connection holds no lease {lease_id[:64]!r}")
        return lease

    def _live(self, lease_id: str) -> Lease:
        lease = self._parts.leases.get(lease_id)
        # After a sleep of the machine, a lease may be over before the timer has come round.
        if lease is None or lease.expires_at <= self._parts.now():
            raise LeaseNotFound(f"no live lease {lease_id[:64]!r}")
        return lease

    def _terms(self, lease: Lease) -> dict[str, Any]:
        left = lease.expires_at - self._parts.now()
        return {
            "lease": lease.id,
            "version": lease.version,
            "expires_in": round(left, 3),
            "floor": round(min(lease.floor, left / 4), 3),
        }

    def _row(self, lease: Lease) -> dict[str, Any]:
        return {
            "lease": lease.id,
            "secret": lease.secret,
            "version": lease.version,
            "session": lease.session,
            "pid": lease.pid,
            "bounded_by": lease.bounded_by.value,
            "expires_in": round(lease.expires_at - self._parts.now(), 3),
        }


def _check_not_barred(session: Session, name: str) -> None:
    if name in session.barred:
        raise NotGranted(
            f"the lease of {name} in session {session.id} was revoked by hand",
            hint="start the program again with `brokerctl run`",
        )


def _expiry(now: float, ttl: float, key_expires_at: float | None) -> float:
    """Return when a lease ends: after its own time, and never after its key."""
    return now + ttl if key_expires_at is None else min(now + ttl, key_expires_at)
