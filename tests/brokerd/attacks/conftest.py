"""One daemon for all of this: it has to outlive everything, and to be as it was before."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from tests.support.bystander import Bystander
from tests.support.daemon import Daemon, new_world, started, wait_until
from tests.support.puppet import Stage

_MORE_MEMORY = 24 * 1024 * 1024


@pytest.fixture(scope="module")
def bystander() -> Iterator[Bystander]:
    """Run one daemon for all of this: it has to outlive everything, and to be as it was before."""
    with new_world() as world, started(world) as running, Stage(world) as stage:
        running.set_secret()
        found = Bystander(running, stage.enter())
        found.is_served_at_once()
        yield found


@pytest.fixture
def daemon(bystander: Bystander) -> Iterator[Daemon]:
    running = bystander.daemon
    descriptors, memory = _descriptors(running), running.memory()
    yield running
    bystander.is_served_at_once()
    wait_until(lambda: bystander.others() == 0)
    wait_until(lambda: _descriptors(running) <= descriptors)
    assert running.memory() - memory < _MORE_MEMORY


def _descriptors(daemon: Daemon) -> int:
    """Return how many files the daemon has open: only root may look, and only Linux shows it."""
    can_look = sys.platform == "linux" and os.geteuid() == 0
    return daemon.descriptors() if can_look else 0
