"""Which of the daemon's parts is made with which others? Read from top to bottom."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from brokerd import config, kinds, notice
from brokerd.asking import Asking
from brokerd.audit.group import GroupCommit
from brokerd.audit.log import AuditLog
from brokerd.backends.base import Backend
from brokerd.backends.embedded import EmbeddedBackend
from brokerd.blocking import Blocking
from brokerd.breaker import Breaker
from brokerd.configfile import ConfigFile
from brokerd.credentials import Credentials
from brokerd.dues import Dues
from brokerd.ending import Endings, Notify
from brokerd.following import Following
from brokerd.journal import Journal
from brokerd.leases import LeaseTable
from brokerd.logins import Logins
from brokerd.minting import Minting
from brokerd.policyfile import PolicyFile
from brokerd.refusals import Refusals
from brokerd.revisions import Revisions
from brokerd.sealed import Sealer
from brokerd.service.parts import Parts
from brokerd.sessions import SessionTable
from brokerd.standings import Standings
from brokerd.store import Store
from brokerd.tending import Tending
from brokerd.upstream import Upstream
from brokerd.watching import Watching
from brokershim import clock
from brokershim.ownership import make_private_dir
from brokershim.paths import config_dir, state_dir


@dataclass(frozen=True)
class Assembly:
    """What was made.

    Attributes:
        parts: What the verbs work with.
        journal: Closed last.
        following: Ends what a change of the policy does not grant any more.
        revisions: Ends what a backend would not give any more.
        watching: Finds newer keys.
        tending: Keeps the backends' logins alive.
        dues: Tells the person when a login is due.
        sealed_by: What seals the keys that are kept.
    """

    parts: Parts
    journal: Journal
    following: Following
    revisions: Revisions
    watching: Watching
    tending: Tending
    dues: Dues
    sealed_by: str


def assemble(
    notify: Notify,
    alone: Callable[[], bool],
    more_backends: Mapping[str, Backend],
    route: Callable[[str], str] | None,
) -> Assembly:
    """Make the parts of a daemon.

    Args:
        notify: Tells the holder of a lease.
        alone: Returns whether at most one request is under way.
        more_backends: Backends besides the configured ones, by name.
        route: Gives the name of the backend that holds a secret; as configured, if None.

    Raises:
        BrokerError: A file of ours is damaged, insecure or in use, or a setting is wrong.
    """
    make_private_dir(config_dir())
    make_private_dir(state_dir())
    config_file = ConfigFile(os.path.join(config_dir(), "config.toml"))
    settings = config_file.settings
    route = route or settings.backend_of

    # What stands on disk.
    store = Store(os.path.join(state_dir(), "secrets.sealed"), settings.master_key)
    audit_log = AuditLog(os.path.join(state_dir(), "audit"), settings.audit_bytes)
    journal = Journal(os.path.join(state_dir(), "journal.jsonl"))
    policy = PolicyFile(os.path.join(config_dir(), "policy.toml"))
    audit = GroupCommit(audit_log, alone)
    refusals = Refusals(audit, clock.now)

    # Where keys come from.
    identities = kinds.build_identities(settings)
    configured = kinds.build_backends(settings, identities)
    backends = {config.EMBEDDED: EmbeddedBackend(store), **configured, **more_backends}
    breakers = {name: Breaker(name) for name in backends if name != config.EMBEDDED}
    blocking, sealer = Blocking(servers=len(breakers)), Sealer()
    asking = Asking(backends, breakers, blocking, audit, refusals, clock.now)
    credentials = Credentials(backends, route, sealer, asking, clock.now)

    # What was given, and how it ends.
    leases, sessions = LeaseTable(), SessionTable()
    upstream = Upstream(backends, journal, audit, blocking)
    endings = Endings(leases, audit, upstream, notify)
    watching = Watching(backends, credentials, leases, endings, asking, clock.now)
    standings = Standings(kinds.accounts(identities, configured), blocking)
    return Assembly(
        parts=Parts(
            leases=leases,
            sessions=sessions,
            policy=policy,
            credentials=credentials,
            asking=asking,
            backends=backends,
            breakers=breakers,
            minting=Minting(backends, route, asking, upstream, clock.now),
            endings=endings,
            upstream=upstream,
            watching=watching,
            audit=audit,
            audit_log=audit_log,
            refusals=refusals,
            store=store,
            standings=standings,
            logins=Logins(audit),
            config_file=config_file,
            blocking=blocking,
            now=clock.now,
        ),
        journal=journal,
        following=Following(policy, leases, sessions, endings, audit),
        revisions=Revisions(backends, breakers, leases, endings),
        watching=watching,
        tending=Tending(backends, blocking, clock.now),
        dues=Dues(standings, blocking, notice.show, clock.now),
        sealed_by=sealer.kind,
    )
