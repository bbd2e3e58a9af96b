"""secret.* and store.*: what the embedded store holds, never what a key is."""

from __future__ import annotations

from typing import Any

from brokerd.ending import Reason
from brokerd.model import Secret
from brokerd.service.paging import page
from brokerd.service.parts import Caller, Parts
from brokershim.errors import InvalidParams, UsageError
from brokershim.reference import check_name


class Storing:
    """Changes and describes the embedded store."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def set(
        self,
        caller: Caller,
        *,
        name: str,
        value: str | None = None,
        provider: str | None = None,
        hosts: list[str] | None = None,
        max_ttl: float | None = None,
    ) -> dict[str, Any]:
        """Store a secret's value, its description, or both; running apps get it at once."""
        check_name(name)
        await self._note("secret.set", caller, name)
        version, created = await self._parts.blocking.run(
            "the embedded store",
            self._parts.store.set,
            name,
            _bytes(value),
            provider,
            hosts,
            max_ttl,
        )
        await self._changed(name, Reason.ROTATED)
        return {"name": name, "version": version, "created": created}

    async def list_all(self, caller: Caller, *, after: str | None = None) -> dict[str, Any]:
        """Return one page of the secrets, by name."""
        del caller
        found = await self._parts.blocking.run("the embedded store", self._parts.store.list)
        later = (secret for secret in found if after is None or secret.name > after)
        return page("secrets", later, _row, lambda secret: secret.name)

    async def show(self, caller: Caller, *, name: str) -> dict[str, Any]:
        """Return one secret's description and its versions."""
        del caller
        secret, versions = await self._parts.blocking.run(
            "the embedded store", self._parts.store.show, check_name(name)
        )
        rows = [{"version": each.version, "created": each.created} for each in versions]
        return {**_row(secret), "versions": rows}

    async def remove(self, caller: Caller, *, name: str) -> dict[str, Any]:
        """Remove a secret with all its versions, and end every lease of it."""
        await self._note("secret.removed", caller, check_name(name))
        await self._parts.blocking.run("the embedded store", self._parts.store.remove, name)
        await self._changed(name, Reason.REMOVED)
        return {}

    async def rollback(
        self, caller: Caller, *, name: str, version: str | None = None
    ) -> dict[str, Any]:
        """Make an older value current again, as a new version."""
        if version is not None and (not version.isascii() or not version.isdigit()):
            raise InvalidParams("version is not a number")
        await self._note("secret.rolled_back", caller, check_name(name))
        new = await self._parts.blocking.run(
            "the embedded store",
            self._parts.store.rollback,
            name,
            None if version is None else int(version),
        )
        await self._changed(name, Reason.ROTATED)
        return {"name": name, "version": new}

    async def unlock(
        self, caller: Caller, *, passphrase: str | None = None, create: bool = False
    ) -> dict[str, Any]:
        """Open the store, or make one."""
        created = await self._parts.blocking.run(
            "the embedded store", self._parts.store.unlock, passphrase, create
        )
        await self._parts.audit.record("store.unlocked", pid=caller.peer.pid, created=created)
        return {"master_key": self._parts.store.status().master_key, "created": created}

    async def lock(self, caller: Caller) -> dict[str, Any]:
        """Close the store, forget every key, and end every lease of what it holds."""
        parts = self._parts
        parts.store.lock()
        parts.credentials.clear()
        held = [lease for lease in parts.leases if lease.backend == "embedded"]
        parts.endings.end(held, Reason.LOCKED)
        await parts.audit.record("store.locked", pid=caller.peer.pid, leases=len(held))
        return {}

    async def _note(self, event: str, caller: Caller, name: str) -> None:
        """Write down a change before it is made: no change without a trace."""
        await self._parts.audit.record(
            event, secret=name, pid=caller.peer.pid, executable=caller.peer.executable()
        )

    async def _changed(self, name: str, reason: Reason) -> None:
        self._parts.endings.end(self._parts.leases.of_secret(name), reason)
        await self._parts.endings.settle()


def _bytes(value: str | None) -> bytes | None:
    if value is None:
        return None
    if not value.isascii():
        raise UsageError("the key holds a character outside ASCII", hint="was it copied whole?")
    return value.encode("ascii")


def _row(secret: Secret) -> dict[str, Any]:
    return {
        "name": secret.name,
        "provider": secret.provider,
        "hosts": list(secret.hosts),
        "backend": secret.backend,
        "max_ttl": secret.max_ttl,
        "version": secret.version,
        "bounded_by": secret.bounded_by.value,
    }
