"""What the browser ends on, and what it is told of it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from brokerd.identities.oidc import pages
from brokerd.identities.oidc.identity import OidcIdentity
from brokerd.identities.oidc.pages import Page
from tests.brokerd.identities.oidc.conftest import ask, log_in, waiting
from tests.support.issuer import OpenIdIssuer

ISSUER = "https://id.example"
ALL = {
    "success": pages.signed_in("ada@example.org", ISSUER),
    "refusal": pages.refused(ISSUER),
    "error": pages.failed("the provider answers nothing", "try again"),
    "not understood": pages.NOT_UNDERSTOOD,
    "wrong host": pages.WRONG_HOST,
    "wrong method": pages.WRONG_METHOD,
    "not ours": pages.NOT_OURS,
    "nothing here": pages.NOTHING_HERE,
    "moved": pages.moved_to(pages.refused(ISSUER)),
}
WITH_A_BODY = {name: page for name, page in ALL.items() if name != "moved"}


def headers_of(page: Page) -> dict[str, str]:
    lines = page.to_bytes().partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}


@pytest.mark.parametrize("page", ALL.values(), ids=ALL)
def test_nothing_may_be_loaded_framed_kept_or_guessed(page: Page) -> None:
    headers = headers_of(page)
    policy = dict(
        each.strip().split(" ", 1) for each in headers["content-security-policy"].split(";")
    )
    assert policy.pop("style-src").startswith("'sha256-")
    assert policy == dict.fromkeys(
        ["default-src", "frame-ancestors", "form-action", "base-uri"], "'none'"
    )
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("page", WITH_A_BODY.values(), ids=WITH_A_BODY)
def test_the_policy_allows_the_style_that_is_there(page: Page) -> None:
    (style,) = re.findall("<style>(.*)</style>", page.body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in headers_of(page)["content-security-policy"]


class _Reader(HTMLParser):
    def __init__(self, body: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.feed(body)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(attrs)


@pytest.mark.parametrize("page", WITH_A_BODY.values(), ids=WITH_A_BODY)
def test_a_screen_reader_finds_its_way(page: Page) -> None:
    reader = _Reader(page.body)
    assert reader.attributes["lang"] == "en"
    assert all(reader.tags.count(each) == 1 for each in ("title", "main", "h1"))
    assert not {"script", "img", "link", "a", "form", "iframe"} & set(reader.tags)


def test_success_refusal_and_error_are_told_apart() -> None:
    three = [ALL[each] for each in ("success", "refusal", "error")]
    assert [each.path for each in three] == ["/signed-in", "/refused", "/failed"]
    titles = [re.findall("<h1>(.*)</h1>", each.body)[0] for each in three]
    kinds = [_Reader(each.body).attributes["class"] for each in three]
    assert len(set(titles)) == len(set(kinds)) == 3


@pytest.mark.parametrize("said", ["<script>alert(1)</script>", "`<b>`", '"><img src=x>'])
def test_what_others_say_is_only_text(said: str) -> None:
    for page in (pages.signed_in(said, said), pages.refused(said), pages.failed(said, said)):
        assert not {"script", "b", "img"} & set(_Reader(page.body).tags)


def test_a_name_from_the_provider_reaches_the_page_as_text(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    issuer.claims = {"email": "<b>ada</b>"}
    seen, standing = log_in(identity, issuer)
    assert standing.subject == "<b>ada</b>"
    assert "&lt;b&gt;ada" in seen.body


@pytest.mark.parametrize("email", [None, "", 7, "a\nb", "a" * 201, "\u202eada"])
def test_a_name_that_is_none_is_not_shown(
    identity: OidcIdentity, issuer: OpenIdIssuer, email: object
) -> None:
    issuer.claims = {"email": email}
    assert log_in(identity, issuer)[1].subject == "user-1"


def test_no_secret_stands_in_the_address_or_on_the_page(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    login = identity.login("browser")
    outcome = waiting(login)
    answer = issuer.consent(login.url)
    moved = ask(answer)
    assert (moved.status, moved.headers["location"], moved.body) == (303, "/signed-in", "")
    seen = ask(answer.partition("/callback")[0] + "/signed-in")
    outcome.result(10)
    secrets = re.findall(r"(?:code|state)=([^&]+)", answer)
    assert len(secrets) == 2
    assert not any(each in seen.body + str(seen.headers) for each in secrets)


def _luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_it_can_be_read_in_the_light_and_in_the_dark() -> None:
    (style,) = re.findall("<style>(.*)</style>", ALL["success"].body, re.DOTALL)
    for part in style.split("@media"):  # WCAG 2.2, 1.4.6 and 1.4.11
        colors = dict(re.findall("--(ink|paper): (#[0-9a-f]{6})", part))
        paper = _luminance(colors["paper"])
        for color, least in [(colors["ink"], 7.0), *_marks(part)]:
            low, high = sorted((paper, _luminance(color)))
            assert (high + 0.05) / (low + 0.05) >= least


def _marks(style: str) -> list[tuple[str, float]]:
    found = [(each, 3.0) for each in re.findall("--mark: (#[0-9a-f]{6})", style)]
    assert len(found) == 3
    return found
