"""Where the attacks take place: a daemon whose user is not root, that user's programs, attackers.

Root may look into any process, so what holds against the same user can only be tried by another one
than root. These tests run as root and make all who act here somebody else.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from brokershim.errors import BrokerError
from tests.support.daemon import (
    PASSPHRASE,
    PLAIN_UID,
    Daemon,
    World,
    new_world,
    plain_python,
    started_as_plain_user,
)
from tests.support.puppet import Puppet, Stage
from tests.support.require import require_linux, require_root

STRANGER_UID = 65533
"""A second user that is not root, and not the daemon's."""
KEY = "sk-proj-canary-7d1f0c52a9b84e63f0a2c5d8e1b4+/="
SECRET = "openai/dev"
_LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


class Scene:
    """A running daemon with one secret in its store, and no grant.

    Attributes:
        world: The daemon's folders.
        daemon: The daemon.
        stage: Where processes come from.
    """

    def __init__(self, world: World, daemon: Daemon, stage: Stage) -> None:
        self.world, self.daemon, self.stage = world, daemon, stage
        self.owner = self.enter()
        store = self.owner.call("daemon.status")["store"]
        if store["locked"] or not store["exists"]:
            self.owner.call("store.unlock", passphrase=PASSPHRASE, create=True)
        self.owner.call("secret.set", name=SECRET, value=KEY)
        world.grant()

    def enter(self, **environ: str) -> Puppet:
        """Return a new process of the daemon's own user, in no session."""
        return self.stage.enter_as(self.world.uid, plain_python(), **environ)

    def stranger(self) -> Puppet:
        """Return a new process of another user."""
        return self.stage.enter_as(STRANGER_UID, plain_python())

    def session(self, *secrets: str, root: Puppet | None = None) -> Puppet:
        """Return a process that is the root of a session, granted or not; a new one, or that."""
        root = root or self.enter()
        env = {f"KEY_{n}": name for n, name in enumerate(secrets or (SECRET,))}
        root.do("label = call('session.open', given)['session']", program="/bin/true", env=env)
        return root


def child_of(parent: Puppet) -> Puppet:
    """Return a forked child that has let go of its copy of its parent's connection."""
    child = parent.fork()
    child.do("if 'it' in kept: hang_up()")
    return child


def label(root: Puppet) -> str:
    """Return the label that a session's processes have in BROKER_SESSION."""
    return str(root.get("label"))


def lease(puppet: Puppet, **params: str) -> str:
    """Return the key that a process is given; what it is refused with is raised."""
    return str(puppet.call("lease.acquire", secret=SECRET, **params)["value"])


def refusal(puppet: Puppet, **params: str) -> str:
    """Return the kind of the error that a process gets in a key's place."""
    with pytest.raises(BrokerError) as refused:
        puppet.call("lease.acquire", secret=SECRET, **params)
    assert KEY not in json.dumps(refused.value.to_wire())
    return refused.value.kind


def fork_with_pid(puppet: Puppet, wanted: int) -> Puppet:
    """Return a child of a process, with a number of the test's choice (pid_namespaces(7))."""
    for _ in range(200):  # other processes of the machine may be quicker
        _LAST_PID.write_text(str(wanted - 1))
        child = child_of(puppet)
        if child.pid == wanted:
            return child
        child.exit()
        puppet.do("os.wait()")
    raise AssertionError(f"number {wanted} could not be had")


@contextmanager
def new_daemon() -> Generator[Daemon]:
    """Start a daemon as a user that is not root, in a world of its own; and end it."""
    require_linux()
    require_root()
    with new_world(PLAIN_UID) as world, started_as_plain_user(world) as daemon:
        yield daemon


@contextmanager
def new_scene(daemon: Daemon) -> Generator[Scene]:
    """Set the scene around a daemon, and take all processes but the daemon away again."""
    with Stage(daemon.world) as stage:
        yield Scene(daemon.world, daemon, stage)
