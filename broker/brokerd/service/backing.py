"""backend.*: where keys come from, what it allows us, and what a person has to give it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

from brokerd.backends.base import Backend
from brokerd.backends.people import Finding, has_account, is_checked, is_enrolled
from brokerd.service.identifying import facts
from brokerd.service.paging import number_of, page
from brokerd.service.parts import Caller, Parts
from brokershim.errors import BackendNotFound, BrokerError, UsageError

MAX_BYTES = 32 * 1024
"""The longest thing that a backend is given, in UTF-8: a private key is far shorter."""


class Backing:
    """Tells of the backends, and gives them what they log in with."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def list_all(self, caller: Caller, *, after: str | None = None) -> dict[str, Any]:
        """Return one page of the backends, by name; no server is asked."""
        del caller
        names = [each for each in sorted(self._parts.breakers) if after is None or each > after]
        rows = await asyncio.gather(*map(self._row, names))  # one that hangs holds up none
        return page("backends", rows, lambda row: row, lambda row: str(row["name"]))

    async def check(
        self, caller: Caller, *, backend: str, after: str | None = None
    ) -> dict[str, Any]:
        """Ask a backend what it allows us, and return one page of that."""
        number, asked = number_of(after), self._get(backend)
        if not is_checked(asked):
            raise UsageError(
                f"backend {backend} cannot tell what it allows",
                hint="`brokerctl backend list` shows how it fares",
            )
        try:
            found = await self._parts.asking.attempt(backend, f"backend {backend}", asked.check)
        except BrokerError as error:
            # A check logs in, and so may be what finds that a secret id was stolen.
            pid = caller.peer.pid
            await self._parts.refusals.record(error, "backend.unchecked", backend=backend, pid=pid)
            raise
        later = list(enumerate(found, 1))[number:]
        return page("findings", later, lambda each: _finding(each[1]), lambda each: str(each[0]))

    async def enrol(self, caller: Caller, *, backend: str, value: str) -> dict[str, Any]:
        """Give a backend what it logs in with; nothing is given without a trace."""
        parts, asked = self._parts, self._get(backend)
        if not is_enrolled(asked):
            raise UsageError(
                f"backend {backend} logs in with nothing that it has to be given",
                hint="`brokerctl backend list` shows which does",
            )
        if len(value.encode("utf-8", "surrogatepass")) > MAX_BYTES:
            raise UsageError(f"over {MAX_BYTES} bytes were given", hint="is it the right file?")
        known: dict[str, str | int] = {"backend": backend, "pid": caller.peer.pid}
        executable = caller.peer.executable()
        await parts.audit.record("backend.enrolling", **known, executable=executable)
        try:
            await parts.blocking.run(f"backend {backend}", asked.enrol, value)
        except BrokerError as error:
            await parts.audit.record("backend.not_enrolled", **known, kind=error.kind)
            raise
        await parts.audit.record("backend.enrolled", **known)
        return {}

    def _get(self, name: str) -> Backend:
        """Return a backend. The error does not repeat the name: it may be a key."""
        found = self._parts.backends.get(name)
        if found is None:
            raise BackendNotFound("no backend of that name is configured")
        return found

    async def _row(self, name: str) -> dict[str, Any]:
        parts = self._parts
        table = parts.config_file.settings.backends.get(name)
        return {
            "name": name,
            "kind": "" if table is None else table.text("kind"),
            "login": "" if table is None else table.optional_text("login") or "",
            **asdict(parts.breakers[name].health(parts.now())),
            "enrolment": await self._enrolment(name),
            "account": await self._account(name),
        }

    async def _enrolment(self, name: str) -> dict[str, Any] | None:
        backend = self._parts.backends[name]
        if not is_enrolled(backend):
            return None
        try:
            done = await self._parts.blocking.run(f"backend {name}", backend.enrolled)
        except BrokerError as error:
            return {"wants": backend.wants, "done": None, "reason": error.message}
        return {"wants": backend.wants, "done": done, "reason": ""}

    async def _account(self, name: str) -> dict[str, Any] | None:
        if not has_account(self._parts.backends[name]):
            return None
        return facts(await self._parts.standings.of(name))


def _finding(finding: Finding) -> dict[str, Any]:
    return {**asdict(finding), "verdict": finding.verdict}
