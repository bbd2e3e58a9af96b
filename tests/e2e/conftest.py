"""What an end-to-end test may ask for; and after each of them, no key is anywhere."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo.provider import Provider
from tests.e2e.session import Session, open_sessions
from tests.support.keyring_session import keyring_session

_BUS = "DBUS_SESSION_BUS_ADDRESS"


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider({"openai": "none yet", "anthropic": "none yet"}) as provider:
        yield provider


@pytest.fixture(scope="module")
def session(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """A broker with a key, and a project that is allowed; shared by the tests of a module."""
    session = Session(tmp_path_factory.mktemp("shared"), provider)
    assert session.unlock().status == 0
    session.store()
    session.trust()
    yield session
    session.close()


@pytest.fixture
def fresh(provider: Provider, tmp_path: Path) -> Iterator[Session]:
    """A home where nothing was done yet, not even the daemon started."""
    home = tmp_path / "home"
    home.mkdir()
    session = Session(home, provider)
    yield session
    session.close()


@pytest.fixture
def keyed(provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A home with a keyring, and nothing done yet."""
    with ExitStack() as stack:
        # A socket's address is short, so the keyring stands not below pytest's folders.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bus = stack.enter_context(keyring_session(folder))[_BUS]
        monkeypatch.setenv(_BUS, bus)
        made = Session(tmp_path, provider)
        made.environment[_BUS] = bus
        yield made
        made.close()


@pytest.fixture(autouse=True)
def no_key_anywhere() -> Iterator[None]:
    """Search for every key of every session that is still open."""
    yield
    for session in open_sessions:
        assert session.leaks() == []
