"""A login at a second provider, which has no part in common with the first.

It gives no ID token when a login is refreshed, which OpenID Connect Core 1.0, section 12.2, allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from brokerd.identities.oidc.identity import OidcIdentity
from brokershim.errors import IdentityUnavailable, LoginRequired, ServerDown
from tests.real.logins import identity_at, log_in
from tests.support import canaille
from tests.support.browser import Person
from tests.support.canaille import Canaille

pytestmark = pytest.mark.slow


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Canaille]:
    with canaille.canaille(tmp_path) as running:
        yield running


@pytest.fixture
def work(provider: Canaille, person: Person) -> OidcIdentity:
    """Log in to it."""
    work = identity_at(provider.url)
    login = work.login("browser")
    provider.allow(parse_qs(urlsplit(login.url).query)["redirect_uri"][0])
    log_in(login, lambda url: canaille.log_in(person.page, url)).result()
    return work


def test_a_login_and_its_refresh(work: OidcIdentity, person: Person) -> None:
    assert work.standing().state == "ready"
    assert work.standing().subject == "ada@example.com"
    assert person.page.title().startswith("You are signed in")
    for _ in range(2):  # the second time with the refresh token that the first one brought
        with pytest.raises(IdentityUnavailable, match="no ID token when it refreshes"):
            work.token(None)
    assert work.standing().state == "ready"


def test_a_logout_that_the_provider_does_not_hear_of(work: OidcIdentity) -> None:
    """It takes revocations from clients with a secret only, which none on a machine can have."""
    with pytest.raises(ServerDown, match="did not take the login back"):
        work.logout()
    with pytest.raises(LoginRequired):
        work.token(None)
