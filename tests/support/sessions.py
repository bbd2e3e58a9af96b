"""What the tests of sessions do over and over."""

from __future__ import annotations

from typing import Any

from tests.support.daemon import Daemon, wait_until
from tests.support.puppet import Puppet

WITHIN = 1.0  # seconds, says the issue
PROGRAM = "/usr/bin/env"


def open_session(puppet: Puppet, *secrets: str, **more: Any) -> str:
    """Make a puppet the root of a session, and return its label."""
    env = {f"KEY_{n}": name for n, name in enumerate(secrets or ("openai/dev",))}
    return str(puppet.call("session.open", program=PROGRAM, env=env, **more)["session"])


def child_of(parent: Puppet) -> Puppet:
    """Return a child with a connection of its own."""
    child = parent.fork()
    child.do("hang_up()")
    return child


def lease_of(puppet: Puppet, secret: str = "openai/dev", **more: Any) -> str:
    return str(puppet.call("lease.acquire", secret=secret, **more)["lease"])


def leases_in(daemon: Daemon) -> list[str]:
    return [each["lease"] for each in daemon.call("lease.list")["leases"]]


def sessions_in(daemon: Daemon) -> list[str]:
    return [each["session"] for each in daemon.call("session.list")["sessions"]]


def the_event(daemon: Daemon, name: str, **facts: Any) -> dict[str, Any]:
    """Return the one event of that name with those facts, once it is written."""

    def found() -> list[dict[str, Any]]:
        return [each for each in daemon.world.events(name) if facts.items() <= each.items()]

    wait_until(lambda: found() != [])
    assert len(found()) == 1
    return found()[0]
