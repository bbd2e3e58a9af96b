"""Does the daemon that runs still go by what stands in config.toml?"""

from __future__ import annotations

from typing import Any

from brokerctl import output
from brokershim.client import Client

CHANGED = "config.toml has changed since the daemon started, which goes by what it said then"
REMEDY = "`brokerctl daemon stop`; it starts again by itself"


def warn(client: Client) -> None:
    """Say so where it does not.

    Raises:
        BrokerError: What the daemon answers.
    """
    if is_stale(client.call("daemon.status")):
        say()


def say() -> None:
    """Say that it does not, and what to do."""
    output.warning(f"{CHANGED}: {REMEDY}")


def is_stale(status: dict[str, Any]) -> bool:
    """Return whether the answer to ``daemon.status`` says that it does not."""
    return status.get("config_changed") is True  # a daemon from before an upgrade says nothing
