"""What leaves a trace in the audit, and ends leases, besides a session's own end."""

from __future__ import annotations

import os
from typing import Any

from tests.support.daemon import Daemon, World, started, wait_until
from tests.support.puppet import Puppet, Stage

_PROGRAM = "/usr/bin/env"
_SECRET = "openai/dev"


def _holder(stage: Stage, world: World) -> tuple[Puppet, str]:
    """Return a session's root that holds a lease, and that lease."""
    world.write_config(
        "policy.toml", f'[[grant]]\nunsafe_any_session = true\nsecrets = ["{_SECRET}"]\n'
    )
    root = stage.enter()
    root.call("session.open", program=_PROGRAM, env={"OPENAI_API_KEY": _SECRET})
    return root, str(root.call("lease.acquire", secret=_SECRET)["lease"])


def _last(world: World, event: str) -> dict[str, Any]:
    return world.events(event)[-1]


def test_a_policy_that_no_longer_grants_ends_the_lease(
    daemon: Daemon, world: World, stage: Stage
) -> None:
    _, lease = _holder(stage, world)
    world.write_config("policy.toml", "")
    wait_until(lambda: not daemon.call("lease.list")["leases"])
    ended = _last(world, "lease.ended")
    assert (ended["lease"], ended["reason"]) == (lease, "no longer granted")
    wait_until(lambda: world.events("policy.changed")[-1]["grants"] == 0)
    assert _last(world, "policy.changed")["leases"] == 1


def test_a_policy_that_cannot_be_read_ends_it_too(
    daemon: Daemon, world: World, stage: Stage
) -> None:
    _holder(stage, world)
    world.write_config("policy.toml", "[[grant")
    wait_until(lambda: not daemon.call("lease.list")["leases"])
    wait_until(lambda: world.events("policy.changed")[-1]["grants"] is None)


def test_new_hosts_of_a_secret_are_in_the_audit(daemon: Daemon, world: World) -> None:
    daemon.call("secret.set", name=_SECRET, hosts=["elsewhere.example"])
    changed = _last(world, "secret.changed")
    assert (changed["action"], changed["hosts"]) == ("describe", ["elsewhere.example"])
    assert changed["pid"] == os.getpid()


def test_who_revoked_is_in_the_audit(daemon: Daemon, world: World, stage: Stage) -> None:
    _holder(stage, world)
    assert daemon.call("lease.revoke", all=True) == {"revoked": 1}
    revoked = _last(world, "lease.revoked")
    assert (revoked["by"], revoked["leases"]) == (os.getpid(), 1)


def test_a_stop_ends_the_sessions_and_says_who_asked(world: World, stage: Stage) -> None:
    with started(world) as daemon:
        daemon.set_secret()
        root, _ = _holder(stage, world)
        daemon.call("daemon.stop")
        wait_until(lambda: bool(world.events("daemon.stopped")))
        ended = _last(world, "session.ended")
        assert (ended["root"], ended["reason"]) == (root.pid, "the daemon stopped")
        assert _last(world, "daemon.stopping")["pid"] == os.getpid()
