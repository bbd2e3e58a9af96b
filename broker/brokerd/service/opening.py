"""session.*: a process becomes the root of a session, and the session dies with it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import stat
from datetime import UTC, datetime
from typing import Any

from brokerd import project as projects
from brokerd.ending import Reason
from brokerd.policy import Asker, Trust
from brokerd.service.paging import number_of, page
from brokerd.service.parts import Caller, Parts
from brokerd.sessions import Launch, Session
from brokerd.signing import completed
from brokershim.errors import (
    ApprovalRequired,
    AuditUnavailable,
    BrokerError,
    InvalidParams,
    NoSession,
    NotFound,
    NotGranted,
    PeerGone,
    ProjectNotAllowed,
    UsageError,
)

_MAX_SCRIPT_BYTES = 16 * 1024 * 1024
_PATH_MAX = 4096  # limits.h of Linux; macOS has 1024
_SHOWN = 256
"""Characters of a path in a list. Four of them and all secrets still fit into one page."""

_log = logging.getLogger(__name__)


class Opening:
    """Opens, approves and ends sessions."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def open(
        self,
        caller: Caller,
        *,
        program: str,
        env: dict[str, str],
        script: str | None = None,
        project: str | None = None,
    ) -> dict[str, Any]:
        """Make the calling process the root of a session for the secrets it names."""
        for path in (program, script or program):
            if not os.path.isabs(path) or len(os.fsencode(path)) > _PATH_MAX:
                raise InvalidParams("program and script are absolute paths that can be opened")
        trusted = await self._trusted(project) if project is not None else None
        wanted = {**(trusted.env if trusted else {}), **env}
        projects.check_env(env)
        if not 0 < len(wanted) <= projects.MAX_VARIABLES:
            raise UsageError(f"name between 1 and {projects.MAX_VARIABLES} secrets")
        names = sorted(set(wanted.values()))
        described = [await self._parts.credentials.describe(name) for name in names]
        wanted = completed(wanted, {each.name for each in described if each.delivery.signs})
        account_of = self._parts.config_file.settings.account_of
        accounts = filter(None, map(account_of, wanted.values()))
        logins = await self._parts.standings.needing_login(accounts)
        launch = await self._launch(
            caller, program, script, trusted.folder if trusted else None, wanted
        )
        session = await self._add(caller, launch)
        pending = self._pending(session)
        return {"session": session.id, "env": wanted, "pending": pending, "logins": logins}

    async def approve(self, caller: Caller, *, session: str, secrets: list[str]) -> dict[str, Any]:
        """Take in that a person at the session's terminal said yes."""
        opened = self._parts.sessions.get(session)
        if opened is None or opened.connection != caller.number:
            raise NotFound("this connection opened no such session")
        # The kernel's word, not the client's: without a terminal there is nobody to say yes.
        if not caller.peer.in_foreground():
            raise ApprovalRequired("there is no terminal to approve it in")
        if not set(secrets) <= set(self._pending(opened)):
            raise InvalidParams("secrets holds one that does not wait for approval")
        await self._parts.audit.record("session.approved", session=session, secrets=secrets)
        opened.approved.update(secrets)
        return {}

    async def list_all(self, caller: Caller, *, after: str | None = None) -> dict[str, Any]:
        """Return one page of the live sessions."""
        del caller
        later = self._parts.sessions.after(number_of(after))
        return page("sessions", later, self._row, lambda session: str(session.number))

    async def end(self, session: Session, reason: str) -> None:
        """End a session and every lease in it, and write down why.

        Like that of a lease, its end is never held up: one that cannot be audited is one, too.
        """
        parts = self._parts
        root = session.root.pid
        if parts.sessions.get(session.id) is not session:
            return
        asyncio.get_running_loop().remove_reader(session.root.fd)
        parts.sessions.remove(session)
        leases = parts.leases.of_session(session.id)
        ended = parts.endings.end(leases, Reason.SESSION_ENDED)
        try:
            await parts.audit.record(
                "session.ended", session=session.id, root=root, reason=reason, leases=ended
            )
        except AuditUnavailable as error:
            _log.error("the end of session %s is not in the audit: %s", session.id, error)

    async def _trusted(self, path: str) -> projects.Project:
        found = await self._parts.blocking.run(f"reading {path}", projects.read, path)
        trust = self._parts.policy.current().trust(found.folder, found.sha256)
        if trust is not Trust.ALLOWED:
            state = "has changed since it was allowed" if trust is Trust.CHANGED else "is new"
            raise ProjectNotAllowed(
                f"{found.path} {state}",
                details={
                    "path": found.path,
                    "sha256": found.sha256,
                    "env": found.env,
                    "state": trust.value,
                },
            )
        return found

    async def _launch(
        self,
        caller: Caller,
        program: str,
        script: str | None,
        project: str | None,
        env: dict[str, str],
    ) -> Launch:
        hashed = None
        if script is not None:
            hashed = await self._parts.blocking.run(f"reading {script}", _sha256, script)
        return Launch(program, script, hashed, caller.peer.folder(), project, env)

    async def _add(self, caller: Caller, launch: Launch) -> Session:
        parts = self._parts
        # Again after each wait: another request of the same process may have been quicker.
        while (before := parts.sessions.rooted_at(caller.peer.pid)) is not None:
            await self.end(before, "its root opened another session")
        _check_there(caller)
        opened_at = datetime.now(UTC).isoformat(timespec="seconds")
        session = parts.sessions.add(caller.peer, launch, opened_at, caller.number)
        try:
            await parts.audit.record("session.opened", **_facts(session))
            _check_there(caller)
            if parts.sessions.get(session.id) is not session:
                raise NoSession(f"process {caller.peer.pid} opened another session meanwhile")
        except BrokerError:
            parts.sessions.remove(session)
            raise
        self._watch(session)
        return session

    def _watch(self, session: Session) -> None:
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[None]] = set()

        def gone() -> None:
            loop.remove_reader(session.root.fd)
            tasks.add(loop.create_task(self.end(session, "its root process ended")))

        loop.add_reader(session.root.fd, gone)

    def _pending(self, session: Session) -> list[str]:
        waiting = session.secrets - session.approved
        return sorted(name for name in waiting if not self._is_granted(session.asker, name))

    def _is_granted(self, asker: Asker, name: str) -> bool:
        try:
            self._parts.policy.current().max_ttl(asker, name, approved=False)
        except (ApprovalRequired, NotGranted):
            return False
        return True

    def _row(self, session: Session) -> dict[str, Any]:
        leases = self._parts.leases.of_session(session.id)
        facts = {name: _shortened(value) for name, value in _facts(session).items()}
        return {**facts, "opened_at": session.opened_at, "leases": len(leases)}


def _check_there(caller: Caller) -> None:
    """Refuse a process that ended, or hung up, while its request waited.

    Raises:
        PeerGone: It did.
    """
    if not (caller.open and caller.peer.alive()):
        raise PeerGone(f"process {caller.peer.pid} has ended")


def _facts(session: Session) -> dict[str, Any]:
    launch = session.launch
    return {
        "session": session.id,
        "root": session.root.pid,
        "program": launch.program,
        "script": launch.script,
        "script_sha256": launch.script_sha256,
        "folder": launch.folder,
        "project": launch.project,
        "secrets": sorted(session.secrets),
    }


def _shortened(value: Any) -> Any:
    """Return a text without its middle where it is long: the end of a path says the most."""
    if not isinstance(value, str) or len(value) <= _SHOWN:
        return value
    return f"{value[: _SHOWN // 2]}…{value[-_SHOWN // 2 :]}"


def _sha256(path: str) -> str | None:
    """Return the hash of a script, or None where it is no readable file of sensible size."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):  # a pipe, a terminal: nothing to hash
                return None
            data = file.read(_MAX_SCRIPT_BYTES + 1)
    except OSError:
        return None
    return hashlib.sha256(data).hexdigest() if len(data) <= _MAX_SCRIPT_BYTES else None
