"""What may the table of every configured secret say: where may its key go, and for how long?"""

from __future__ import annotations

from dataclasses import replace

from brokerd.model import BoundedBy, Secret
from brokerd.providers import PROVIDERS
from brokerd.store.hosts import normalise
from brokerd.table import Table
from brokershim.errors import ConfigError, UsageError

MAX_TTL = 900.0
"""Seconds that a lease lasts where nothing else is said, as with the embedded store."""


def secret_of(
    table: Table, name: str, backend: str, bounded_by: BoundedBy, hosts: tuple[str, ...] = ()
) -> Secret:
    """Return the description of a secret whose provider may be any that is known.

    Args:
        table: ``[secret."NAME"]``.
        name: The secret's name; its first part presets the provider.
        backend: The configured name of its backend.
        bounded_by: What ends a lease of it.
        hosts: Where its key goes where neither the table nor a provider says so.

    Raises:
        ConfigError: As `described`, and where no such provider is known.
    """
    provider = _provider(table, name)
    common = Secret(
        name="",
        provider=provider,
        hosts=(PROVIDERS[provider].hosts if provider else ()) or hosts,
        backend=backend,
        max_ttl=MAX_TTL,
        version="",
        bounded_by=bounded_by,
    )
    return described(table, common, name)


def described(table: Table, common: Secret, name: str) -> Secret:
    """Return the description of a secret: what its table says, or else what it has in common.

    Args:
        table: ``[secret."NAME"]``.
        common: What its backend says of all its secrets.
        name: The secret's name.

    Raises:
        ConfigError: A host or a duration is not written as one, or there is no host.
    """
    return replace(
        common,
        name=name,
        hosts=hosts_of(table, common.hosts),
        max_ttl=table.seconds("max_ttl") or common.max_ttl,
    )


def _provider(table: Table, name: str) -> str:
    given = table.optional_text("provider")
    if given is None:
        first = name.partition("/")[0]
        return first if first in PROVIDERS else ""
    if given not in PROVIDERS:
        raise table.error("provider is none that is known: leave it out, and name hosts")
    return given


def hosts_of(table: Table, otherwise: tuple[str, ...]) -> tuple[str, ...]:
    """Return the hosts that a table names, or else others.

    Raises:
        ConfigError: One is not written as a host, or there is none at all.
    """
    given = table.texts("hosts") or otherwise
    if not given:
        raise ConfigError(
            f"{table.path}: {table.name}: hosts is missing",
            hint='say where its keys may go, such as hosts = ["api.example.com"]',
        )
    try:
        return normalise(given)
    except UsageError as error:
        raise ConfigError(
            f"{table.path}: {table.name}: hosts: {error.message}", hint=error.hint
        ) from None
