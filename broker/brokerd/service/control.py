"""daemon.* and audit.*: the daemon itself."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from brokerd.service.parts import Caller, Parts
from brokershim import __version__
from brokershim.errors import BrokerError


@dataclass(frozen=True)
class Facts:
    """What is known of the daemon from outside its parts.

    Attributes:
        protection: What `brokerd.harden`, the sealer and the peer check achieved.
        started: When, in seconds of `brokershim.clock.now`.
        connections: How many connections are open.
        stop: Ends the daemon.
    """

    protection: list[str]
    started: float
    connections: Callable[[], int]
    stop: Callable[[], None]


class Control:
    """Tells of the daemon, and ends it."""

    def __init__(self, parts: Parts, facts: Facts) -> None:
        self._parts = parts
        self._facts = facts

    async def status(self, caller: Caller) -> dict[str, Any]:
        """Return how the daemon fares."""
        del caller
        parts, facts = self._parts, self._facts
        # In a thread: while the store asks the keyring, it lets nobody else look.
        store = await parts.blocking.run("the embedded store", parts.store.status)
        return {
            "pid": os.getpid(),
            "version": __version__,
            "uptime": round(parts.now() - facts.started, 1),
            "sessions": len(parts.sessions),
            "leases": len(parts.leases),
            "revoking": len(parts.upstream),
            "connections": facts.connections(),
            "store": asdict(store),
            "audit": parts.audit_log.head._asdict(),
            "policy": self._policy(),
            "config_changed": parts.config_file.changed(),
            "backends": self._backends(),
            "protection": facts.protection,
        }

    async def stop(self, caller: Caller) -> dict[str, Any]:
        """End the daemon, once this reply is on its way."""
        peer = caller.peer
        try:
            await self._parts.audit.record(
                "daemon.stopping", pid=peer.pid, executable=peer.executable()
            )
        finally:  # an end is never held up
            self._facts.stop()
        return {}

    async def head(self, caller: Caller) -> dict[str, Any]:
        """Return the audit log's last number and hash, to hold the file against."""
        del caller
        return dict(self._parts.audit_log.head._asdict())

    def _backends(self) -> list[dict[str, Any]]:
        now = self._parts.now()
        breakers = self._parts.breakers.items()
        return [
            {"name": name, **asdict(each.health(now)), **self._served(name, now)}
            for name, each in breakers
        ]

    def _served(self, backend: str, now: float) -> dict[str, Any]:
        """Return how many keys of a backend are served, and for how long all are without it."""
        parts = self._parts
        made = [each for each in parts.leases if each.backend == backend and each.upstream]
        ends = [
            *(each.ends_at for _, each in parts.credentials.kept(backend)),
            *(each.key_expires_at for each in made),
        ]
        known = [each for each in ends if each is not None]
        return {
            "keys": len(ends),
            "served_for": round(max(min(known) - now, 0.0), 1) if known else None,
        }

    def _policy(self) -> dict[str, Any]:
        try:
            return {"grants": len(self._parts.policy.current().grants), "error": None}
        except BrokerError as error:
            return {"grants": 0, "error": error.message}
