"""One daemon for all of this; each test has sessions of its own in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.daemon import Daemon, new_world, started
from tests.support.puppet import Puppet, Stage


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """Run one daemon for all of this; each test has sessions of its own in it."""
    with new_world() as world, started(world) as running:
        running.set_secret("openai/dev")
        running.set_secret("openai/asks", "sk-asks")
        running.set_secret("openai/other", "sk-other")
        text = '[[grant]]\nunsafe_any_session = true\nsecrets = ["openai/dev"]\n'
        asks = '[[grant]]\nfolder = "/"\nsecrets = ["openai/asks"]\napproval = "session"\n'
        world.write_config("policy.toml", text + asks)
        yield running


@pytest.fixture
def stage(daemon: Daemon) -> Iterator[Stage]:
    with Stage(daemon.world) as made:
        yield made


@pytest.fixture
def root(stage: Stage) -> Puppet:
    return stage.enter()
