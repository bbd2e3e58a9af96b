"""Which kinds of identities and backends are there, and which module is each?

A closed table of dotted names, imported only where the configuration names one. Entry points
would let any package that is installed beside the daemon run code in it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from brokerd.backends.base import Backend
from brokerd.backends.people import has_account
from brokerd.config import Config
from brokerd.identities.base import Account, Identity
from brokerd.table import Table
from brokershim.errors import ConfigError

IDENTITIES = {
    "oidc": "brokerd.identities.oidc.identity",
    "ci": "brokerd.identities.ci",
    "kubernetes": "brokerd.identities.kubernetes",
    "file": "brokerd.identities.file",
    "spiffe": "brokerd.identities.spiffe",
}
"""Each module has ``build(name, table) -> Identity``."""
BACKENDS = {
    "federation": "brokerd.backends.federation.backend",
    "aws": "brokerd.backends.aws.backend",
    "vault": "brokerd.backends.vault.backend",
}
"""Each module has ``build(name, table, secrets, identities) -> Backend``."""


def build_identities(config: Config) -> dict[str, Identity]:
    """Return the configured identities by name; none of them has asked any server yet.

    Raises:
        ConfigError: One is of no known kind, or is described wrongly.
    """
    return {name: _identity(name, table) for name, table in config.identities.items()}


def build_backends(config: Config, identities: Mapping[str, Identity]) -> dict[str, Backend]:
    """Return the configured backends by name, without the embedded store.

    Raises:
        ConfigError: One is of no known kind, or is described wrongly.
    """
    return {
        name: _backend(name, table, config.secrets_of(name), identities)
        for name, table in config.backends.items()
    }


def accounts(
    identities: Mapping[str, Identity], backends: Mapping[str, Backend]
) -> dict[str, Account]:
    """Return all that somebody may be logged in to, by name: identities, and some backends.

    Raises:
        ConfigError: An identity and a backend that people log in to have one name.
    """
    personal = {name: each.account for name, each in backends.items() if has_account(each)}
    twice = sorted(personal.keys() & identities.keys())
    if twice:
        raise ConfigError(
            f"both an identity and a backend that asks for a login are named {twice[0]}",
            hint="give one of them another name: `brokerctl login` goes by it",
        )
    return {**identities, **personal}


def _identity(name: str, table: Table) -> Identity:
    kind = table.choice("kind", tuple(IDENTITIES))
    identity: Identity = importlib.import_module(IDENTITIES[kind]).build(name, table)
    table.finish()
    return identity


def _backend(
    name: str, table: Table, secrets: Mapping[str, Table], identities: Mapping[str, Identity]
) -> Backend:
    kind = table.choice("kind", tuple(BACKENDS))
    module = importlib.import_module(BACKENDS[kind])
    backend: Backend = module.build(name, table, secrets, identities)
    for each in (table, *secrets.values()):
        each.finish()
    return backend


def identity_of(table: Table, identities: Mapping[str, Identity]) -> Identity:
    """Return the identity that a backend's table names.

    Raises:
        ConfigError: There is none of that name.
    """
    name = table.text("identity")
    found = identities.get(name)
    if found is None:
        raise ConfigError(
            f"{table.path}: {table.name}: no identity {name}",
            hint=f"write [identity.{name}] into that file",
        )
    return found
