"""Where is the auth method of a way to log in mounted? (Pure.)"""

from __future__ import annotations

from brokerd.backends.vault.servers import path_of_names
from brokerd.table import Table


def auth_mount(table: Table, kind: str) -> str:
    """Return where an auth method is mounted, below ``auth/``; by default under its own name.

    Raises:
        ConfigError: ``auth_mount`` is no path of names.
    """
    return path_of_names(table, "auth_mount") or kind
