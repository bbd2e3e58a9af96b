"""What do the verbs work with? The daemon's parts, put together once in `brokerd.daemon`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from brokerd.asking import Asking
from brokerd.audit.group import GroupCommit
from brokerd.audit.log import AuditLog
from brokerd.backends.base import Backend
from brokerd.blocking import Blocking
from brokerd.breaker import Breaker
from brokerd.configfile import ConfigFile
from brokerd.credentials import Credentials
from brokerd.ending import Endings
from brokerd.leases import LeaseTable
from brokerd.logins import Logins
from brokerd.minting import Minting
from brokerd.peer import Peer
from brokerd.policyfile import PolicyFile
from brokerd.refusals import Refusals
from brokerd.sessions import SessionTable
from brokerd.standings import Standings
from brokerd.store import Store
from brokerd.upstream import Upstream
from brokerd.watching import Watching


class Caller(Protocol):
    """Who asks: one connection, and the process at its other end."""

    number: int
    peer: Peer

    @property
    def open(self) -> bool:
        """Whether the connection still stands."""
        ...


@dataclass(frozen=True)
class Parts:
    """The daemon's parts, as the verbs see them.

    Attributes:
        asking: Asks the backends.
        backends: Where keys come from, by name.
        breakers: How those of them fare that ask a server, by name.
        watching: Finds newer keys, and is told of them.
        config_file: What the daemon is configured with.
    """

    leases: LeaseTable
    sessions: SessionTable
    policy: PolicyFile
    credentials: Credentials
    asking: Asking
    backends: Mapping[str, Backend]
    breakers: Mapping[str, Breaker]
    minting: Minting
    endings: Endings
    upstream: Upstream
    watching: Watching
    audit: GroupCommit
    audit_log: AuditLog
    refusals: Refusals
    store: Store
    standings: Standings
    logins: Logins
    config_file: ConfigFile
    blocking: Blocking
    now: Callable[[], float]
