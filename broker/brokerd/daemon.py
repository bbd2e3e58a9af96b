"""How is the daemon put together, and how does it end? (The composition root.)"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any

from brokerd.assembly import assemble
from brokerd.backends.base import Backend
from brokerd.blocking import work_for
from brokerd.connection import Connection
from brokerd.ending import Reason
from brokerd.listener import Listener
from brokerd.peer import PINNED_BY
from brokerd.server import Server
from brokerd.service.control import Facts
from brokerd.service.opening import Opening
from brokerd.service.verbs import Verbs
from brokershim import clock, wire
from brokershim.errors import AuditUnavailable, BrokerError

STOPS = (signal.SIGTERM, signal.SIGINT)
"""The signals that end it."""
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
        self._listener = listener
        self._stopping = asyncio.Event()
        self._busy = 0
        self._idle = asyncio.Event()
        made = assemble(self._notify, lambda: self._busy <= 1, more_backends or {}, route)
        self._made, self._parts = made, made.parts
        self._opening = Opening(self._parts)
        self._server = self._make_server()
        self._verbs = self._make_verbs([*protection, f"keys sealed: {made.sealed_by}"])
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve until told to stop, then end everything in order.

        Args:
            ready: Called once the daemon answers.
        """
        loop = asyncio.get_running_loop()
        for number in STOPS:
            loop.add_signal_handler(number, self._stopping.set)
        await self._parts.audit.record("daemon.started", pid=os.getpid())
        self._parts.upstream.resume()
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
        parts = self._parts
        parts.endings.end(parts.leases, Reason.STOPPED)
        for session in parts.sessions:
            await self._opening.end(session, "the daemon stopped")
        await parts.endings.settle()
        await parts.logins.end(_SETTLE_SECONDS)
        self._server.close()
        # What a backend is just making for a lease is revoked with the rest.
        await self._requests_end(_SETTLE_SECONDS)
        await parts.upstream.close(_SETTLE_SECONDS)
        # After what was revoked with them: a backend's login ends last.
        await self._made.tending.close(_SETTLE_SECONDS)
        await parts.blocking.settle(_SETTLE_SECONDS)
        with _unaudited("the end of the daemon"):
            await self._parts.audit.record("daemon.stopped", pid=os.getpid())
        self._parts.blocking.close()
        with _unaudited("the end of the daemon"):
            self._parts.audit_log.close()
        self._made.journal.close()
        # Last: a daemon that starts now finds every file of ours free.
        self._listener.close()

    async def _requests_end(self, seconds: float) -> None:
        """Wait a while for the requests that are under way."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._busy:
                    self._idle.clear()
                    await self._idle.wait()

    async def _keep_time(self) -> None:
        """Do what is due, whenever the next lease ends, and every so often."""
        made, parts = self._made, self._parts
        while True:
            now = clock.now()
            parts.endings.end(parts.leases.expired(now), Reason.EXPIRED)
            self._server.close_idle()
            await made.following.look()
            made.revisions.look()
            parts.credentials.refresh_due(parts.leases.secrets())
            for part in (made.watching, made.tending, made.dues):
                part.look()
            if not self._listener.is_ours():
                _log.error("the socket was removed or replaced: stopping")
                return
            due = min(parts.leases.next_expiry() or now + _TICK_SECONDS, now + _TICK_SECONDS)
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
            if not self._busy:
                self._idle.set()

    def _holds(self, number: int) -> bool:
        held = self._parts.leases.holds_any(number) or self._parts.sessions.opened_on(number)
        return held or self._parts.logins.holds(number)

    def _notify(self, number: int, method: str, params: Mapping[str, str]) -> None:
        self._server.notify(number, method, params)

    def _closed(self, number: int) -> None:
        self._parts.endings.end(self._parts.leases.of_connection(number), Reason.HOLDER_GONE)
        self._parts.logins.closed(number)

    def _refused(self, error: BrokerError) -> None:
        task = asyncio.get_running_loop().create_task(
            self._parts.refusals.record(error, **error.details)
        )
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
