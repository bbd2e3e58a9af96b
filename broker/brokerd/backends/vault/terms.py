"""What does the table of a secret say of where it is in Vault? (Pure.)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from brokerd.backends.terms import secret_of
from brokerd.model import BoundedBy, Secret
from brokerd.table import Table
from brokershim.errors import ConfigError

Scalar = str | int | bool
_NO_ENGINES = ("auth", "sys")
_KV_HINT = 'as for `vault kv get -mount=secret llm/openai`: mount = "secret", path = "llm/openai"'


@dataclass(frozen=True)
class KvTerms:
    """A static key, in an engine that keeps what it is given (KV).

    Attributes:
        secret: Its description.
        mount: Where the engine is mounted.
        path: Where in the engine, as `kv get` names it.
        field: Which field of the secret there.
        version: The version that is pinned (KV 2); None for the newest.
        max_staleness: How many seconds it is served after the server was last heard to have no
            other.
    """

    secret: Secret
    mount: str
    path: str
    field: str
    version: int | None
    max_staleness: float

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return f"{self.mount}/{self.path}"

    @property
    def slip(self) -> str:
        """What to do about a path that looks like another program's; empty where it does not."""
        if self.path.startswith("data/"):
            return 'leave out the "data/" of path: only the HTTP API of KV 2 has it'
        if self.path.startswith(f"{self.mount}/"):
            return f'leave out the "{self.mount}/" of path: `mount` says it'
        return ""


@dataclass(frozen=True)
class DynamicTerms:
    """A key that an engine makes for one lease.

    Attributes:
        secret: Its description.
        path: What is asked to make it.
        method: How that is asked.
        parameters: What it is asked with.
        field: Which field of the answer is the key.
    """

    secret: Secret
    path: str
    method: Literal["read", "write"]
    parameters: Mapping[str, Scalar]
    field: str


Terms = KvTerms | DynamicTerms


def read(table: Table, name: str, backend: str, max_staleness: float) -> Terms:
    """Return what the table of one secret says.

    Args:
        table: ``[secret."NAME"]``.
        name: The secret's name; its first part presets the provider.
        backend: The configured name of its backend.
        max_staleness: In seconds, where the table says nothing of it.

    Raises:
        ConfigError: Naming the file, the table and the key.
    """
    kind = table.choice("engine", ("kv", "dynamic"), "kv")
    bounded_by = BoundedBy.BROKER if kind == "kv" else BoundedBy.BACKEND
    secret = secret_of(table, name, backend, bounded_by)
    return _kv(table, secret, max_staleness) if kind == "kv" else _dynamic(table, secret)


def _kv(table: Table, secret: Secret, max_staleness: float) -> KvTerms:
    if table.optional_text("mount") is None:
        raise ConfigError(
            f"{table.path}: {table.name}: mount is missing",
            hint='say where its KV engine is; or, for keys that are made, engine = "dynamic"',
        )
    mount, path = _path(table, "mount"), _path(table, "path")
    if path.startswith(f"{mount}/data/"):
        raise ConfigError(f"{table.path}: {table.name}: path is one of the HTTP API", hint=_KV_HINT)
    return KvTerms(
        secret=secret,
        mount=mount,
        path=path,
        field=table.text("field"),
        version=table.number("version"),
        max_staleness=table.seconds("max_staleness") or max_staleness,
    )


def _dynamic(table: Table, secret: Secret) -> DynamicTerms:
    path = _path(table, "path")
    if path.partition("/")[0] in _NO_ENGINES:
        raise table.error("path leads to no secrets engine")
    writes = table.choice("method", ("read", "write"), "read") == "write"
    return DynamicTerms(
        secret=secret,
        path=path,
        method="write" if writes else "read",
        parameters=table.scalars("parameters"),
        field=table.text("field"),
    )


def _path(table: Table, key: str) -> str:
    """Return a path that means at the server what it means here.

    Where a part of it is empty, or is ``..``, the server or an HTTP library between would make
    another path of it, which no policy that was written for this one speaks of.
    """
    given = table.text(key)
    if not all(part.strip(".") for part in given.split("/")) or given != given.strip():
        raise ConfigError(
            f"{table.path}: {table.name}: {key} is no path of the server",
            hint='parts with "/" between, and none at its ends, as in "database/creds/llm"',
        )
    return given
