"""secret.* and store.*: which secrets there are, and what the embedded store holds; never a key."""

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
        self._homes = parts.config_file.settings.homes

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

    async def list_all(
        self, caller: Caller, *, after: str | None = None, partial: bool = False
    ) -> dict[str, Any]:
        """Return one page of the secrets, by name; no server is asked.

        With `partial`, those of config.toml are listed though the embedded store cannot be read.
        """
        del caller
        configured = [await self._parts.credentials.describe(name) for name in self._homes]
        stored, unlisted = await self._stored(partial)
        found = sorted([*configured, *stored], key=lambda secret: secret.name)
        later = (secret for secret in found if after is None or secret.name > after)
        reply = page("secrets", later, _row, lambda secret: secret.name)
        return {**reply, "unlisted": unlisted}

    async def show(self, caller: Caller, *, name: str) -> dict[str, Any]:
        """Return one secret's description and its versions, of which a configured one has none."""
        del caller
        if check_name(name) in self._homes:
            return {**_row(await self._parts.credentials.describe(name)), "versions": []}
        secret, versions = await self._parts.blocking.run(_STORE, self._parts.store.show, name)
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

    async def _stored(self, partial: bool) -> tuple[list[Secret], str | None]:
        """Return the secrets of the embedded store; or, where that may be, why they are not known.

        One that config.toml gives to another backend is hidden by it.
        """
        parts = self._parts
        try:
            found = await parts.blocking.run(_STORE, parts.store.list)
        except BrokerError as error:
            if not (partial and self._homes):
                raise
            return [], error.message
        return [secret for secret in found if secret.name not in self._homes], None

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
        if check_name(name) in self._homes:
            raise UsageError(
                f"config.toml gives {name} to the backend {self._homes[name]}",
                hint=f'a new value goes into that backend, all else under [secret."{name}"] there',
            )
        facts: dict[str, str | int] = {
            "action": action,
            "secret": name,
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
