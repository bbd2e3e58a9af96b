"""How does a test get a process with a number that it chooses? As root, on Linux."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.puppet import Puppet
from tests.support.require import require_writable

_LAST_PID = Path("/proc/sys/kernel/ns_last_pid")
_SCENES = 10
_FORKS = 100


class _TakenError(Exception):
    """Some other process of this machine was quicker, and keeps the number."""


def with_a_chosen_pid(scene: Callable[[], None]) -> None:
    """Play a scene that calls `fork_with_pid`, again from its start while others are quicker."""
    require_writable(str(_LAST_PID), "a container without that right cannot choose a pid")
    for _ in range(_SCENES):
        try:
            scene()
        except _TakenError:
            continue
        return
    pytest.fail("the chosen pids could not be had")


def fork_with_pid(puppet: Puppet, wanted: int) -> Puppet:
    """Return a child of a puppet with the number that is wanted."""
    before = _LAST_PID.read_text()
    try:
        for _ in range(_FORKS):
            _LAST_PID.write_text(str(wanted - 1))
            child = puppet.fork()
            if child.pid == wanted:
                return child
            child.exit()
            puppet.do("os.wait()")
    finally:
        # Or all processes to come would be given numbers that have only just been let go of.
        _LAST_PID.write_text(before)
    raise _TakenError
