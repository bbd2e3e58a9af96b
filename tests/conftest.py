"""What any test may ask for: a world of its own, a daemon in it, a Vault, an AWS, a database."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.aws import Aws, aws_server
from tests.support.daemon import Daemon, World, new_world, started
from tests.support.postgres import Postgres, postgres
from tests.support.puppet import Stage
from tests.support.vault import Server, dev_server

# Whoever starts the tests in the background (nohup, a CI runner) may ignore these, and what is
# ignored stays so in every program that a test starts and then sends a signal to.
for _number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
    signal.signal(_number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline for an example: on a busy machine it says nothing of the code.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture
def world() -> Iterator[World]:
    with new_world() as made:
        yield made


@pytest.fixture
def daemon(world: World) -> Iterator[Daemon]:
    """Run a daemon; it holds one secret, ``openai/dev``, and grants nothing."""
    with started(world) as running:
        running.set_secret()
        yield running


@pytest.fixture
def stage(world: World) -> Iterator[Stage]:
    with Stage(world) as made:
        yield made


@pytest.fixture(scope="session")
def vault_server() -> Iterator[Server]:
    """Run a Vault, which the tests of this process share: each mounts what is its own.

    A test that seals, pauses or stops a server runs one for itself.
    """
    with dev_server() as running:
        yield running


@pytest.fixture(scope="session")
def _aws_server() -> Iterator[Aws]:
    with aws_server() as running:
        yield running


@pytest.fixture
def aws(_aws_server: Aws) -> Aws:
    """Run an AWS, which the tests of this process share: it knows nothing of those before."""
    _aws_server.reset()
    return _aws_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """Run a PostgreSQL, which the tests of this process share."""
    with postgres() as running:
        yield running
