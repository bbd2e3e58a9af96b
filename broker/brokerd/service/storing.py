"""secret.* and store.*: what the embedded store holds, never what a key is."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from brokerd.config import EMBEDDED
from brokerd.ending import Reason
from brokerd.model import Secret
from brokerd.naming import check_name
from brokerd.service.paging import page
from brokerd.service.parts import Caller, Parts
from brokershim.errors import BrokerError, UsageError

_VERSION = re.compile("[0-9]{1,9}")
_STORE = "the embedded store"
_Result = TypeVar("_Result")


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
        version, created = await self._change(
            "set" if value is not None else "describe", caller, name, Reason.ROTATED,
            self._parts.store.set, _bytes(value), provider, hosts, max_ttl, hosts=hosts,
        )  # fmt: skip
        return {"name": name, "version": version, "created": created}

    async def list_all(self, caller: Caller, *, after: str | None = None) -> dict[str, Any]:
        """Return one page of the secrets, by name."""
        del caller
        found = await self._parts.blocking.run(_STORE, self._parts.store.list)
        later = (secret for secret in found if after is None or secret.name > after)
        return page("secrets", later, _row, lambda secret: secret.name)

    async def show(self, caller: Caller, *, name: str) -> dict[str, Any]:
        """Return one secret's description and its versions."""
        del caller
        secret, versions = await self._parts.blocking.run(
            _STORE, self._parts.store.show, check_name(name)
        )
        rows = [{"version": each.version, "created": each.created} for each in versions]
        return {**_row(secret), "versions": rows}

    async def remove(self, caller: Caller, *, name: str) -> dict[str, Any]:
        """Remove a secret with all its versions, and end every lease of it."""
        await self._change("remove", caller, name, Reason.REMOVED, self._parts.store.remove)
        return {}

    async def rollback(
        self, caller: Caller, *, name: str, version: str | None = None
    ) -> dict[str, Any]:
        """Make an older value current again, as a new version."""
        check_name(name)
        if version is not None and not _VERSION.fullmatch(version):
            raise UsageError("not a version", hint=f"see `brokerctl secret show {name}`")
        older = None if version is None else int(version)
        new = await self._change(
            "rollback", caller, name, Reason.ROTATED, self._parts.store.rollback, older
        )
        return {"name": name, "version": new}

    async def unlock(
        self, caller: Caller, *, passphrase: str | None = None, create: bool = False
    ) -> dict[str, Any]:
        """Open the store, or make one."""
        created = await self._parts.blocking.run(
            _STORE, self._parts.store.unlock, passphrase, create
        )
        await self._parts.audit.record("store.unlocked", pid=caller.peer.pid, created=created)
        status = await self._parts.blocking.run(_STORE, self._parts.store.status)
        return {"master_key": status.master_key, "created": created}

    async def lock(self, caller: Caller) -> dict[str, Any]:
        """Close the store, forget every key, and end every lease of what it holds."""
        parts = self._parts
        await parts.blocking.run(_STORE, parts.store.lock)
        parts.credentials.clear(EMBEDDED)
        held = [lease for lease in parts.leases if lease.backend == EMBEDDED]
        parts.endings.end(held, Reason.LOCKED)
        await parts.audit.record("store.locked", pid=caller.peer.pid, leases=len(held))
        return {}

    async def _change(
        self,
        action: str,
        caller: Caller,
        name: str,
        reason: Reason,
        change: Callable[..., _Result],
        *args: object,
        hosts: list[str] | None = None,
    ) -> _Result:
        """Change a secret and end its leases; no change is begun without a trace."""
        parts, peer = self._parts, caller.peer
        facts: dict[str, str | int] = {
            "action": action,
            "secret": check_name(name),
            "pid": peer.pid,
        }
        await parts.audit.record("secret.changing", **facts, executable=peer.executable())
        try:
            result = await parts.blocking.run(_STORE, change, name, *args)
        except BrokerError as error:
            await parts.audit.record("secret.unchanged", **facts, kind=error.kind)
            raise
        ended = parts.endings.end(parts.leases.of_secret(name), reason)
        # Only now are the hosts known to be hosts, and not a key that was typed in their place.
        await parts.audit.record("secret.changed", **facts, hosts=hosts, leases=ended)
        return result


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
