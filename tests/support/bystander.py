"""A well-behaved client, who has to be served while others misbehave."""

from __future__ import annotations

import time
from typing import Any

from tests.support.daemon import Daemon
from tests.support.puppet import Puppet

AT_ONCE = 1.0
"""Seconds that a well-behaved client may have to wait."""


class Bystander:
    """A well-behaved client in a process of its own."""

    def __init__(self, daemon: Daemon, puppet: Puppet) -> None:
        self.daemon = daemon
        self._puppet = puppet

    def call(self, method: str) -> dict[str, Any]:
        """Call a method on a new connection."""
        try:
            return self._puppet.call(method)
        finally:
            self._puppet.do("hang_up()")

    def is_served_at_once(self) -> None:
        began = time.monotonic()
        assert [each["name"] for each in self.call("secret.list")["secrets"]] == ["openai/dev"]
        assert time.monotonic() - began < AT_ONCE

    def others(self) -> int:
        """Return how many others are connected."""
        return int(self.call("daemon.status")["connections"]) - 1
