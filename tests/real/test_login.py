"""A login at a certified provider, in a real browser, and what it yields."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from brokershim import clock
from brokershim.errors import LoginRefused, LoginRequired
from tests.real.logins import RESOURCE, identity_at, log_in
from tests.support.browser import Person
from tests.support.oidc_provider import OidcProvider


def test_a_person_logs_in_once_and_tokens_go_on(provider: OidcProvider, person: Person) -> None:
    work = identity_at(provider.url)
    standing = log_in(work.login("browser"), person.log_in).result()
    assert (standing.state, standing.subject) == ("ready", "ada@example.com")
    first, second = work.token(None), work.token(None)
    assert (first.issuer, first.subject) == (provider.url, "ada")
    assert clock.now() + 200 < first.expires_at < clock.now() + 301
    assert urlsplit(person.page.url).path == "/signed-in"
    assert second.subject == "ada"


def test_a_token_for_a_resource(provider: OidcProvider, person: Person) -> None:
    work = identity_at(provider.url, resources=[RESOURCE])
    log_in(work.login("browser"), person.log_in).result()
    assert work.token(RESOURCE).subject == "ada"
    assert work.token(RESOURCE).id != work.token(RESOURCE).id


def test_a_person_says_no(provider: OidcProvider, person: Person) -> None:
    work = identity_at(provider.url)
    with pytest.raises(LoginRefused):
        log_in(work.login("browser"), person.refuse).result()
    assert urlsplit(person.page.url).path == "/refused"
    with pytest.raises(LoginRequired):
        work.token(None)


def test_a_person_logs_in_again_and_it_is_the_newer_login_that_counts(
    provider: OidcProvider, person: Person
) -> None:
    """One grant for each person and client: giving back the older token would end the newer."""
    work = identity_at(provider.url)
    log_in(work.login("browser"), person.log_in).result()
    log_in(work.login("browser"), person.agree).result()
    assert work.token(None).subject == "ada"


@pytest.mark.slow  # a device asks every five seconds (RFC 8628, section 3.5)
def test_a_code_typed_on_another_device(provider: OidcProvider, person: Person) -> None:
    work = identity_at(provider.url)
    login = work.login("device")
    assert login.user_code
    standing = log_in(login, person.enter_code).result()
    assert standing.subject == "ada@example.com"
    assert work.token(None).subject == "ada"


def test_after_a_logout_nothing_is_left(provider: OidcProvider, person: Person) -> None:
    work = identity_at(provider.url)
    log_in(work.login("browser"), person.log_in).result()
    work.logout()
    with pytest.raises(LoginRequired):
        work.token(None)
