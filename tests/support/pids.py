"""How does a test get a process with a number that it chooses? As root, on Linux."""

from __future__ import annotations

from pathlib import Path

from tests.support.puppet import Puppet
from tests.support.require import require_writable

LAST_PID = "/proc/sys/kernel/ns_last_pid"


def require_a_choice_of_pids() -> None:
    """Go on only where the next process's number can be set; see pid_namespaces(7)."""
    require_writable(LAST_PID, "a container without that right cannot choose a pid")


def fork_with_pid(puppet: Puppet, wanted: int) -> Puppet:
    """Return a child of a puppet with the number that is wanted; other processes may be quicker."""
    for _ in range(200):
        Path(LAST_PID).write_text(str(wanted - 1))
        child = puppet.fork()
        if child.pid == wanted:
            return child
        child.exit()
        puppet.do("os.wait()")
    raise AssertionError(f"pid {wanted} could not be had")
