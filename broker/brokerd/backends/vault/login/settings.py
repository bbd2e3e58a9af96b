"""What do the ways to log in read from a backend's table in common? (Pure.)"""

from __future__ import annotations

import os
import re

from brokerd.table import Table

_MOUNT = re.compile(r"[\w.-]+(/[\w.-]+)*", re.ASCII)


def auth_mount(table: Table, kind: str) -> str:
    """Return where an auth method is mounted, below ``auth/``; by default under its own name.

    Raises:
        ConfigError: ``auth_mount`` is no path of names.
    """
    found = (table.optional_text("auth_mount") or kind).strip("/")
    if not _MOUNT.fullmatch(found) or {".", ".."} & set(found.split("/")):
        raise table.error("auth_mount is no path of names, as `auth list` of the server shows them")
    return found


def absolute_path(table: Table, key: str) -> str | None:
    """Return a path that means the same in whichever folder the daemon was started, if any.

    Raises:
        ConfigError: It does not.
    """
    found = table.optional_text(key)
    if found is not None and not os.path.isabs(found):
        raise table.error(f"{key} is not an absolute path")
    return found
