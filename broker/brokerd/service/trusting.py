"""project.*: a person reads a broker.toml and trusts exactly what was read."""

from __future__ import annotations

from typing import Any

from brokerd import project as projects
from brokerd.service.parts import Caller, Parts
from brokershim.errors import ProjectNotAllowed


class Trusting:
    """Shows and trusts project files."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def show(self, caller: Caller, *, path: str) -> dict[str, Any]:
        """Return what a broker.toml asks for, and whether it is trusted."""
        del caller
        found = await self._read(path)
        trust = self._parts.policy.current().trust(found.folder, found.sha256)
        return {
            "path": found.path,
            "sha256": found.sha256,
            "env": found.env,
            "state": trust.value,
        }

    async def allow(self, caller: Caller, *, path: str, sha256: str) -> dict[str, Any]:
        """Trust a broker.toml, if it is still what the person was shown."""
        found = await self._read(path)
        if found.sha256 != sha256:
            raise ProjectNotAllowed(f"{found.path} changed while it was being looked at")
        names = sorted(set(found.env.values()))
        # Before it takes effect: no trust without a trace.
        await self._parts.audit.record(
            "project.allowed",
            project=found.folder,
            sha256=sha256,
            secrets=names,
            pid=caller.peer.pid,
        )
        self._parts.policy.allow(found.folder, sha256, names)
        return {"path": found.path}

    async def _read(self, path: str) -> projects.Project:
        """Read a file that the caller named: it may stand on a file system that hangs."""
        return await self._parts.blocking.run(f"reading {path}", projects.read, path)
