"""Servers that are no Vault, and say what a test tells them to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from brokerd.backends.vault import transport
from tests.support.bare_server import BareServer
from tests.support.provider import Provider
from tests.support.vault_client import FOUND, SECONDS


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take no pause between rounds, and little time for all of them."""
    monkeypatch.setattr(transport, "_PAUSES", (0.0, 0.0))
    monkeypatch.setattr(transport, "TOTAL_SECONDS", SECONDS)


@pytest.fixture(scope="package")
def strangers() -> Iterator[tuple[Provider, Provider]]:
    with Provider(lambda _: FOUND) as one, Provider(lambda _: FOUND) as other:
        yield one, other


@pytest.fixture
def first(strangers: tuple[Provider, Provider]) -> Provider:
    return _fresh(strangers[0])


@pytest.fixture
def second(strangers: tuple[Provider, Provider]) -> Provider:
    return _fresh(strangers[1])


def _fresh(server: Provider) -> Provider:
    server.reply = lambda _: FOUND
    server.asked.clear()
    return server


@pytest.fixture
def hanging() -> Iterator[BareServer]:
    """Serve nobody: connections are taken, and nothing is answered."""
    with BareServer(lambda _: _wait(server)) as server:
        yield server


def _wait(server: BareServer) -> None:
    server.over.wait(30)
