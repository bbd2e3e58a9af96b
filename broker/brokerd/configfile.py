"""What stood in config.toml when the daemon started, and does it still?"""

from __future__ import annotations

from brokerd import config
from brokerd.stamp import stamp
from brokershim.errors import ConfigError


class ConfigFile:
    """config.toml, read once: a daemon goes by the same settings from its start to its end.

    Args:
        path: The file; without it, everything is at its default.

    Attributes:
        settings: What stood there.

    Raises:
        ConfigError: It cannot be understood.
        InsecurePath: Others could change it.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp = stamp(path)  # before it is read: a change in between shows
        self.settings = config.load(path)

    def changed(self) -> bool:
        """Return whether it has changed since, so that only another daemon would go by it."""
        try:
            return stamp(self._path) != self._stamp
        except ConfigError:
            return True  # it could be looked at, and cannot be any more
