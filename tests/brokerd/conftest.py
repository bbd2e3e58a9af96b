"""What the tests of the daemon's parts share."""

from __future__ import annotations

import pytest

from tests.support.daemon import World


@pytest.fixture
def granted(world: World) -> World:
    """Return a world in which every session may lease everything."""
    world.grant("*")
    return world
