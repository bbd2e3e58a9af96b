"""Which broker.toml applies here?"""

from __future__ import annotations

import os

from brokershim.errors import ProjectFileNotFound
from brokershim.paths import PROJECT_FILE


def find(start: str | None = None) -> str | None:
    """Return the broker.toml of a folder or of the nearest one above it.

    The search ends at the home directory when it begins inside it: what lies above belongs to
    others. A dangling link counts as found, so that the daemon refuses it instead of a file
    further up being taken.

    Args:
        start: The folder; the working folder if not given.

    Raises:
        ProjectFileNotFound: The folder has been removed.
    """
    try:
        folder = os.path.realpath(start or os.getcwd(), strict=True)
    except FileNotFoundError:
        raise ProjectFileNotFound("this folder has been removed", hint="cd elsewhere") from None
    home = os.path.realpath(os.path.expanduser("~"))
    while True:
        path = os.path.join(folder, PROJECT_FILE)
        if os.path.lexists(path):
            return path
        above = os.path.dirname(folder)
        if folder in (home, above):
            return None
        folder = above


def require(start: str | None = None) -> str:
    """Return what `find` finds.

    Raises:
        ProjectFileNotFound: There is none.
    """
    path = find(start)
    if path is None:
        raise ProjectFileNotFound(f"there is no {PROJECT_FILE} here or in a folder above")
    return path
