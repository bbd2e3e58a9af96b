"""secret.rotate and secret.rotation: a newer key, asked for at the backend that makes it."""

from __future__ import annotations

from typing import Any

from brokerd.naming import check_name
from brokerd.service.parts import Caller, Parts
from brokershim.errors import BackendRefused, BrokerError, NotFound


class Rotating:
    """Asks backends for newer keys, and lets go of the older ones as soon as those are there."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._under_way: dict[str, str] = {}

    async def rotate(self, caller: Caller, *, name: str) -> dict[str, Any]:
        """Ask for a newer key; nothing is asked for without a trace."""
        parts, peer = self._parts, caller.peer
        backend = parts.credentials.key_of(check_name(name)).backend
        known: dict[str, str | int] = {"secret": name, "backend": backend, "pid": peer.pid}
        await parts.audit.record("secret.rotating", **known, executable=peer.executable())
        try:
            version = await parts.asking.rotate(backend, name)
        except BrokerError as error:
            await parts.audit.record("secret.not_rotated", **known, kind=error.kind)
            raise
        self._under_way[name] = version
        return {"name": name, "version": version}

    async def rotation(self, caller: Caller, *, name: str, version: str) -> dict[str, Any]:
        """Say whether a newer key is in use; if so, whoever holds an older one is told now."""
        backend = self._parts.credentials.key_of(check_name(name)).backend
        known: dict[str, str | int] = {"secret": name, "backend": backend, "pid": caller.peer.pid}
        try:
            done = await self._parts.asking.has_rotated(backend, name, version)
        except (BackendRefused, NotFound) as error:
            if self._is_over(name, version):
                await self._parts.audit.record("secret.not_rotated", **known, kind=error.kind)
            raise
        if done and self._is_over(name, version):
            ended = self._parts.watching.replaced(name, version)
            await self._parts.audit.record("secret.rotated", **known, version=version, leases=ended)
        return {"done": done}

    def _is_over(self, name: str, version: str) -> bool:
        """Take in that a rotation is over; return whether it was under way.

        Once: who asks again and again must not fill the audit.
        """
        if self._under_way.get(name) != version:
            return False
        del self._under_way[name]
        return True
