"""How is the daemon put together, and how does it end? (The composition root.)"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any

from brokerd import config, configfile, kinds, notice
from brokerd.asking import Asking
from brokerd.audit.group import GroupCommit
from brokerd.audit.log import AuditLog
from brokerd.backends.base import Backend
from brokerd.backends.embedded import EmbeddedBackend
from brokerd.blocking import Blocking, work_for
from brokerd.breaker import Breaker
from brokerd.connection import Connection
from brokerd.credentials import Credentials
from brokerd.dues import Dues
from brokerd.ending import Endings, Reason
from brokerd.following import Following
from brokerd.journal import Journal
from brokerd.leases import LeaseTable
from brokerd.listener import Listener
from brokerd.logins import Logins
from brokerd.peer import PINNED_BY
from brokerd.policyfile import PolicyFile
from brokerd.refusals import Refusals
from brokerd.revisions import Revisions
from brokerd.sealed import Sealer
from brokerd.server import Server
from brokerd.service.control import Facts
from brokerd.service.opening import Opening
from brokerd.service.parts import Parts
from brokerd.service.verbs import Verbs
from brokerd.sessions import SessionTable
from brokerd.standings import Standings
from brokerd.store import Store
from brokerd.upstream import Upstream
from brokershim import clock, wire
from brokershim.errors import AuditUnavailable, BrokerError
from brokershim.ownership import make_private_dir
from brokershim.paths import config_dir, state_dir

_TICK_SECONDS = 1.0
_SHORTEST_TICK_SECONDS = 0.05
_SETTLE_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Daemon:
    """One daemon, from its start to its end.

    Args:
        listener: The socket it answers on.
        protection: What was done to harden the process.
        more_backends: Backends besides the configured ones, by name.
        route: Gives the name of the backend that holds a secret; as configured, if None.

    Raises:
        BrokerError: A file of ours is damaged, insecure or in use, or a setting is wrong.
    """

    def __init__(
        self,
        listener: Listener,
        protection: list[str],
        more_backends: Mapping[str, Backend] | None = None,
        route: Callable[[str], str] | None = None,
    ) -> None:
        make_private_dir(config_dir())
        make_private_dir(state_dir())
        config_file = configfile.ConfigFile(os.path.join(config_dir(), "config.toml"))
        settings = config_file.settings
        self._listener = listener
        self._stopping = asyncio.Event()
        self._sealer = Sealer()
        self._blocking = Blocking()
        self._store = Store(os.path.join(state_dir(), "secrets.sealed"), settings.master_key)
        self._audit_log = AuditLog(os.path.join(state_dir(), "audit"), settings.audit_bytes)
        self._journal = Journal(os.path.join(state_dir(), "journal.jsonl"))
        self._busy = 0
        self._audit = GroupCommit(self._audit_log, lambda: self._busy <= 1)
        self._leases, self._sessions = LeaseTable(), SessionTable()
        identities = kinds.build_identities(settings)
        backends = {
            config.EMBEDDED: EmbeddedBackend(self._store),
            **kinds.build_backends(settings, identities),
            **(more_backends or {}),
        }
        route = route or settings.backend_of
        self._upstream = Upstream(backends, self._journal, self._audit, self._blocking)
        self._endings = Endings(self._leases, self._audit, self._upstream, self._notify)
        self._refusals = Refusals(self._audit, clock.now)
        breakers = {name: Breaker(name) for name in backends if name != config.EMBEDDED}
        asking = Asking(backends, breakers, self._blocking, self._audit, self._refusals, clock.now)
        self._revisions = Revisions(backends, breakers, self._leases, self._endings)
        self._policy = PolicyFile(os.path.join(config_dir(), "policy.toml"))
        self._following = Following(
            self._policy, self._leases, self._sessions, self._endings, self._audit
        )
        self._logins = Logins(self._audit)
        standings = Standings(identities, self._blocking)
        self._dues = Dues(standings, self._blocking, notice.show, clock.now)
        self._parts = Parts(
            leases=self._leases,
            sessions=self._sessions,
            policy=self._policy,
            credentials=Credentials(backends, route, self._sealer, asking, clock.now),
            breakers=breakers,
            endings=self._endings,
            upstream=self._upstream,
            audit=self._audit,
            audit_log=self._audit_log,
            refusals=self._refusals,
            store=self._store,
            standings=standings,
            logins=self._logins,
            config_file=config_file,
            blocking=self._blocking,
            now=clock.now,
        )
        self._opening = Opening(self._parts)
        self._server = self._make_server()
        self._verbs = self._make_verbs([*protection, f"keys sealed: {self._sealer.kind}"])
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until told to stop, then end everything in order.

        Args:
            ready: Called once the daemon answers.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        await self._audit.record("daemon.started", pid=os.getpid())
        self._upstream.resume()
        self._server.start()
        timer = loop.create_task(self._keep_time())
        # A daemon that cannot end leases any more must not go on.
        timer.add_done_callback(lambda _: self._stopping.set())
        ready()
        await self._stopping.wait()
        ended_by_itself = timer.done()
        timer.cancel()
        await self._end()
        if ended_by_itself:
            timer.result()

    async def _end(self) -> None:
        """Take no more requests, end every lease, and tell the audit."""
        self._server.stop()
        self._listener.stop()
        self._endings.end(self._leases, Reason.STOPPED)
        for session in self._sessions:
            await self._opening.end(session, "the daemon stopped")
        await self._endings.settle()
        await self._logins.end(_SETTLE_SECONDS)
        self._server.close()
        await self._upstream.settle(_SETTLE_SECONDS)
        await self._blocking.settle(_SETTLE_SECONDS)
        with _unaudited("the end of the daemon"):
            await self._audit.record("daemon.stopped", pid=os.getpid())
        self._blocking.close()
        with _unaudited("the end of the daemon"):
            self._audit_log.close()
        self._journal.close()
        # Last: a daemon that starts now finds every file of ours free.
        self._listener.close()

    async def _keep_time(self) -> None:
        """Do what is due, whenever the next lease ends, and every so often."""
        while True:
            now = clock.now()
            self._endings.end(self._leases.expired(now), Reason.EXPIRED)
            self._server.close_idle()
            await self._following.look()
            self._revisions.look()
            self._parts.credentials.refresh_due(self._leases.secrets())
            self._dues.look()
            if not self._listener.is_ours():
                _log.error("the socket was removed or replaced: stopping")
                return
            due = min(self._leases.next_expiry() or now + _TICK_SECONDS, now + _TICK_SECONDS)
            await asyncio.sleep(max(due - now, _SHORTEST_TICK_SECONDS))

    def _make_server(self) -> Server:
        return Server(
            self._listener.socket,
            self._handle,
            self._holds,
            self._closed,
            self._refused,
            clock.now,
        )

    def _make_verbs(self, protection: list[str]) -> Verbs:
        facts = Facts(
            protection=[*protection, f"callers pinned by {PINNED_BY}"],
            started=clock.now(),
            connections=lambda: len(self._server),
            stop=self._stop_soon,
        )
        return Verbs(self._parts, facts, self._opening)

    def _handle(self, connection: Connection, request: wire.Request) -> Awaitable[dict[str, Any]]:
        self._busy += 1  # now, and not when its turn comes: the audit asks who else is under way
        return self._carry_out(connection, request)

    async def _carry_out(self, connection: Connection, request: wire.Request) -> dict[str, Any]:
        work_for(connection.peer.pid)
        try:
            return await self._verbs.call(connection, request.method, request.params)
        finally:
            self._busy -= 1

    def _holds(self, number: int) -> bool:
        held = self._leases.holds_any(number) or self._sessions.opened_on(number)
        return held or self._logins.holds(number)

    def _notify(self, number: int, method: str, params: Mapping[str, str]) -> None:
        self._server.notify(number, method, params)

    def _closed(self, number: int) -> None:
        self._endings.end(self._leases.of_connection(number), Reason.HOLDER_GONE)
        self._logins.closed(number)

    def _refused(self, error: BrokerError) -> None:
        task = asyncio.get_running_loop().create_task(self._refusals.record(error, **error.details))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _stop_soon(self) -> None:
        """Stop in a moment: the reply to who asked goes out first."""
        asyncio.get_running_loop().call_later(0.01, self._stopping.set)


@contextlib.contextmanager
def _unaudited(what: str) -> Generator[None]:
    """Go on where an event cannot be written: what it is about has happened all the same."""
    try:
        yield
    except AuditUnavailable as error:
        _log.error("%s is not in the audit: %s", what, error)
