"""What has to be true of a lease, as it is given, renewed, and looked up?"""

from __future__ import annotations

from typing import Any

from brokerd.leases import Lease
from brokerd.service.parts import Caller, Parts
from brokerd.sessions import Session
from brokershim.errors import LeaseNotFound, NotGranted, PeerGone


class Terms:
    """The conditions of a lease.

    Args:
        parts: What the verbs work with.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def granted(self, session: Session, name: str) -> float | None:
        """Return the longest lease that the policy gives, in seconds; None where it sets no limit.

        Raises:
            NotGranted: The session was not opened for the secret, or may not lease it any more.
            Denied: What the policy says.
        """
        if name not in session.secrets:
            raise NotGranted(f"session {session.id} was not opened for {name}")
        check_not_barred(session, name)
        policy = self._parts.policy.current()
        return policy.max_ttl(session.asker, name, name in session.approved)

    def expiry(self, ttl: float, lease: Lease) -> float:
        """Take in until when a lease's key may be served, and return when the lease ends.

        After its own time, and never after its key has died, or has become too old.

        Args:
            ttl: Its own time from now on, in seconds.
            lease: What is known of its key; one that is not kept any more is as old as it was.
        """
        kept = self._parts.credentials.served_until(lease.secret, lease.version)
        lease.served_until = lease.served_until if kept is None else kept
        ends = [lease.key_expires_at, lease.served_until]
        return min([self._parts.now() + ttl, *(each for each in ends if each is not None)])

    def lives_on(self, lease: Lease) -> bool:
        """Return whether there is time to use the lease's key before it dies."""
        ends = lease.key_expires_at
        return ends is None or ends - self._parts.now() >= lease.floor

    def still_live(self, caller: Caller, lease: Lease) -> None:
        """Look once more, after waiting: it may have been revoked, or nobody be there."""
        if self._parts.leases.get(lease.id) is not lease:
            raise LeaseNotFound(f"lease {lease.id} has ended", hint="acquire another")
        if not (caller.open and caller.peer.alive()):
            raise PeerGone(f"process {lease.pid} has ended")

    def held(self, caller: Caller, lease_id: str) -> Lease:
        """Return a live lease that the caller holds; raises `LeaseNotFound`."""
        lease = self.live(lease_id)
        if lease.connection != caller.number:
            raise LeaseNotFound(f"this connection holds no lease {lease_id[:64]!r}")
        return lease

    def live(self, lease_id: str) -> Lease:
        """Return a live lease; raises `LeaseNotFound`."""
        lease = self._parts.leases.get(lease_id)
        # After a sleep of the machine, a lease may be over before the timer has come round.
        if lease is None or lease.expires_at <= self._parts.now():
            raise LeaseNotFound(f"no live lease {lease_id[:64]!r}")
        return lease

    def reply(self, lease: Lease) -> dict[str, Any]:
        """Return what a holder is told of its lease's time."""
        left = lease.expires_at - self._parts.now()
        return {
            "lease": lease.id,
            "version": lease.version,
            "expires_in": round(left, 3),
            "floor": round(min(lease.floor, left / 4), 3),
        }


def check_not_barred(session: Session, name: str) -> None:
    """Let a session have a secret, unless its lease was revoked by hand; raises `NotGranted`."""
    if name in session.barred:
        raise NotGranted(
            f"the lease of {name} in session {session.id} was revoked by hand",
            hint="start the program again with `brokerctl run`",
        )
