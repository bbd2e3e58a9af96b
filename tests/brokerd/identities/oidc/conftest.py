"""What the tests of a login share: a provider, an identity, and a person with a browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

import pytest

from brokerd.identities.base import Login, Standing
from brokerd.identities.oidc.clocks import Clocks
from brokerd.identities.oidc.identity import OidcIdentity
from brokerd.identities.oidc.keeping import keeper
from brokerd.identities.oidc.settings import Settings
from tests.support.issuer import CLIENT, OpenIdIssuer
from tests.support.memory_keyring import MemoryKeyring, use


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    found = MemoryKeyring()
    use(monkeypatch, found)
    return found


@pytest.fixture
def issuer() -> Iterator[OpenIdIssuer]:
    with OpenIdIssuer() as running:
        yield running


@dataclass
class Time:
    """Clocks that a test sets; nothing waits.

    Attributes:
        boot: Seconds of the boot clock.
        wall: What the wall clock says; None for what the machine says.
        waited: How long each wait was to be.
    """

    boot: float = 1000.0
    wall: float | None = None
    waited: list[float] = field(default_factory=list[float])
    meanwhile: Callable[[], None] = lambda: None

    def clocks(self) -> Clocks:
        usual = Clocks()
        return Clocks(
            lambda: self.boot, lambda: usual.wall() if self.wall is None else self.wall, self._wait
        )

    def _wait(self, event: threading.Event, seconds: float) -> bool:
        self.waited.append(seconds)
        self.boot += seconds
        self.meanwhile()
        return event.is_set()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def identity(issuer: OpenIdIssuer, keyring: MemoryKeyring, time: Time) -> OidcIdentity:
    assert keyring.entries == {}
    return make(issuer, time)


def make(issuer: OpenIdIssuer, time: Time, **changes: Any) -> OidcIdentity:
    """Return an identity of that provider."""
    settings = replace(Settings("work", issuer.url, CLIENT), **changes)
    return OidcIdentity(settings, keeper(settings), time.clocks())


@dataclass
class Seen:
    """A page in the browser, and how it got there."""

    status: int
    body: str
    headers: dict[str, str]
    path: str


def ask(url: str, method: str = "GET", **headers: str) -> Seen:
    """Ask for one page, following nothing."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=10)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", headers=headers)
        return _seen(connection.getresponse(), parts.path)
    finally:
        connection.close()


def _seen(response: HTTPResponse, path: str) -> Seen:
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Seen(response.status, response.read().decode(), headers, path)


def browse(url: str) -> Seen:
    """Go where a browser would be led to."""
    seen = ask(url)
    if seen.status != 303:
        return seen
    return ask(f"http://{urlsplit(url).netloc}{seen.headers['location']}")


def waiting(login: Login) -> Future[Standing]:
    """Run a login in a thread of its own; return what it comes to."""
    future: Future[Standing] = Future()

    def run() -> None:
        try:
            future.set_result(login.run())
        except BaseException as error:  # noqa: BLE001 - the test is to see it
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def log_in(identity: OidcIdentity, issuer: OpenIdIssuer, **changes: str) -> tuple[Seen, Standing]:
    """Log in as a person would; return the last page and the login."""
    login = identity.login("browser")
    outcome = waiting(login)
    seen = browse(issuer.consent(login.url, **changes))
    return seen, outcome.result(10)
