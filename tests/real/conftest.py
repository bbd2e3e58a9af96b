"""A real provider and a real browser, started once for each file of tests.

No longer: while it runs, the browser's driver keeps an event loop in this thread, and other tests
start their own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Person, chromium
from tests.support.oidc_provider import OidcProvider, oidc_provider


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with oidc_provider() as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def person(browser: Browser) -> Iterator[Person]:
    person = Person(browser)
    yield person
    person.close()
