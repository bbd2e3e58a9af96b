"""A Vault as a backend's table describes it, for tests of how it is asked."""

from __future__ import annotations

from typing import Any

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.servers import servers
from brokerd.table import Table


def table_of(**values: Any) -> Table:
    """Return a backend's table."""
    return Table("config.toml", "backend.corp", values)


def vault_at(*addresses: str, **values: Any) -> Vault:
    """Return the Vault at some addresses."""
    return Vault("corp", servers(table_of(addresses=list(addresses), **values)))
