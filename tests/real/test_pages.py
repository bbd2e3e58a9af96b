"""The page that a login ends on, as a real browser shows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page

from brokershim.errors import BrokerError
from tests.real.logins import identity_at, log_in
from tests.support.browser import Person
from tests.support.oidc_provider import OidcProvider

NO_SECRET = re.compile(r"http://127\.0\.0\.1:\d+/(signed-in|refused|failed)")


class End(NamedTuple):
    """How one login ended."""

    person: Person
    path: str
    title: str


def say_yes(person: Person, url: str) -> None:
    person.log_in(url)


def say_no(person: Person, url: str) -> None:
    person.refuse(url)


def be_cheated(person: Person, url: str) -> None:
    """Bring a code that the provider never gave to this login."""
    asked = dict(parse_qsl(urlsplit(url).query))
    issuer = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
    planted = {"code": "planted", "state": asked["state"], "iss": issuer}
    person.page.goto(f"{asked['redirect_uri']}?{urlencode(planted)}")


ENDS = {
    "signed-in": (say_yes, "You are signed in - brokerctl"),
    "refused": (say_no, "You are not signed in - brokerctl"),
    "failed": (be_cheated, "The login failed - brokerctl"),
}


@pytest.fixture(scope="module", params=ENDS)
def end(request: pytest.FixtureRequest, provider: OidcProvider, browser: Browser) -> Iterator[End]:
    act, title = ENDS[request.param]
    person = Person(browser)
    finish(provider, person, act)
    yield End(person, request.param, title)
    person.close()


def finish(provider: OidcProvider, person: Person, act: Callable[[Person, str], None]) -> None:
    end = log_in(identity_at(provider.url).login("browser"), lambda url: act(person, url))
    if (failure := end.exception()) is not None:
        assert isinstance(failure, BrokerError)


def test_no_secret_is_left_in_the_browser(end: End) -> None:
    page = end.person.page
    assert NO_SECRET.fullmatch(page.url)
    assert page.url.endswith(end.path)
    names: list[str] = page.evaluate("performance.getEntries().map(each => each.name)")
    assert not [each for each in (page.content(), *names) if re.search("(code|state|iss)=", each)]
    assert page.evaluate("document.referrer") == ""
    assert page.evaluate("document.cookie + localStorage.length + sessionStorage.length") == "00"


def test_going_back_leads_to_no_code(end: End) -> None:
    """The address with the code was answered with a redirect, so it is no entry of the history."""
    history = end.person.page.context.new_cdp_session(end.person.page)
    entries = history.send("Page.getNavigationHistory")["entries"]
    assert entries[-1]["url"] == end.person.page.url
    assert not [each for each in entries if "code=" in each["url"] or "/callback" in each["url"]]


def test_the_browser_has_nothing_to_complain_of(end: End) -> None:
    """A style that its own content policy forbids would show here."""
    assert [each for each in end.person.complaints if each.startswith(end.person.page.url)] == []
    style = end.person.page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth")
    assert style != "none", "the style was not applied"


def test_it_can_be_read_by_anybody(end: End) -> None:
    page = end.person.page
    assert page.title() == end.title
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.get_by_role("main").count() == 1
    assert page.get_by_role("heading", level=1).inner_text() == end.title.removesuffix(
        " - brokerctl"
    )
    assert page.locator("meta[name=viewport]").count() == 1
    assert "close this window" in page.get_by_role("main").inner_text()


def test_a_command_to_type_is_marked_as_one(provider: OidcProvider, person: Person) -> None:
    finish(provider, person, be_cheated)
    assert person.page.locator("code").inner_text() == "brokerctl login"
    assert "`" not in person.page.get_by_role("main").inner_text()


def test_it_fits_a_phone(end: End) -> None:
    page = end.person.page
    page.set_viewport_size({"width": 320, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_its_words_stand_out(end: End, dark: bool) -> None:
    """WCAG 2.2, criterion 1.4.3 asks for 4.5 to 1; text in a browser's own colours counts too."""
    end.person.page.emulate_media(color_scheme="dark" if dark else "light")
    assert contrast(end.person.page) >= 7  # AAA


@pytest.mark.parametrize("end_path", ENDS)
def test_it_needs_no_script(provider: OidcProvider, browser: Browser, end_path: str) -> None:
    act, title = ENDS[end_path]
    person = Person(browser, scripts=False)
    finish(provider, person, act)
    assert person.page.title() == title
    assert person.page.url.endswith(end_path)
    person.close()


def contrast(page: Page) -> float:
    """Return the contrast of text and ground (WCAG 2.2, "contrast ratio")."""
    ink, paper = (
        page.evaluate(f"getComputedStyle(document.body).{each}.match(/[0-9.]+/g).slice(0, 3)")
        for each in ("color", "backgroundColor")
    )
    lighter, darker = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: list[str]) -> float:
    """Return the relative luminance of a colour in sRGB (WCAG 2.2)."""
    parts = [int(each) / 255 for each in colour]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
