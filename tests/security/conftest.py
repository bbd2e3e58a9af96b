"""What an attack may ask for: a scene of its own, or a home with a broker and a provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from demo.provider import Provider
from tests.e2e.session import Session
from tests.security.scene import Scene, new_daemon, new_scene
from tests.support.daemon import Daemon


@pytest.fixture(scope="module")
def plain_daemon() -> Iterator[Daemon]:
    with new_daemon() as started:
        yield started


@pytest.fixture
def scene(plain_daemon: Daemon) -> Iterator[Scene]:
    """A daemon that others use too: for attacks that it and its files survive."""
    with new_scene(plain_daemon) as made:
        yield made


@pytest.fixture
def own_scene() -> Iterator[Scene]:
    """A daemon of one's own."""
    with new_daemon() as started, new_scene(started) as made:
        yield made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A home with a broker that holds a key, a project that is allowed, and its provider."""
    with Provider({"openai": "none yet", "anthropic": "none yet"}) as provider:
        session = Session(tmp_path_factory.mktemp("home"), provider)
        try:
            assert session.unlock().status == 0
            session.store()
            session.trust()
            yield session
        finally:
            session.close()
