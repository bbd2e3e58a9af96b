"""What does a person see in the browser once a login is over? (Pure.)

Plain pages with no script, and nothing that another site could use: see `_HEADERS`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --mark: #1a6b34; }
.refused { --mark: #8a4b00; }
.failed { --mark: #a61b1b; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1.125rem/1.6 system-ui, sans-serif; }
main { max-width: 34rem; margin: 12vh auto; padding: 0 1.5rem; overflow-wrap: anywhere; }
h1 { font-size: 1.75rem; line-height: 1.25; border-left: .375rem solid var(--mark);
  padding-left: 1rem; }
code { font-size: 1rem; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #f0f0f0; --paper: #16181a; --mark: #6fce8c; }
  .refused { --mark: #f0b060; }
  .failed { --mark: #ff9a9a; }
}
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; "
        "frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Connection": "close",
}
_DOCUMENT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - brokerctl</title>
<style>{style}</style>
</head>
<body class="{kind}">
<main>
<h1>{title}</h1>
{paragraphs}
</main>
</body>
</html>
"""


@dataclass(frozen=True)
class Page:
    """One answer to a browser.

    Attributes:
        status: Its status code.
        body: HTML.
        path: Where it stands; empty where it stands nowhere of its own.
        headers: Beyond those that every page has.
    """

    status: HTTPStatus
    body: str
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def to_bytes(self) -> bytes:
        """Return the whole answer (RFC 9112)."""
        body = self.body.encode()
        headers = {**_HEADERS, **self.headers, "Content-Length": str(len(body))}
        lines = [f"HTTP/1.1 {self.status.value} {self.status.phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body


def signed_in(who: str, issuer: str) -> Page:
    """Return the page of a login that succeeded."""
    body = _body("done", "You are signed in", f"Signed in as {who} at {issuer}.")
    return Page(HTTPStatus.OK, body, "/signed-in")


def refused(issuer: str) -> Page:
    """Return the page of a login that the person, or the provider, said no to."""
    said = f"{issuer} says that access was denied. Nothing has changed on this machine."
    return Page(HTTPStatus.OK, _body("refused", "You are not signed in", said), "/refused")


def failed(message: str, hint: str) -> Page:
    """Return the page of a login that went wrong, with an error's own words."""
    sentence = message[:1].upper() + message[1:]
    body = _body("failed", "The login failed", f"{sentence}.", f"What to do: {hint}.")
    return Page(HTTPStatus.OK, body, "/failed")


def moved_to(page: Page) -> Page:
    """Return what leads there, so that no code stays in the address or the history."""
    return Page(HTTPStatus.SEE_OTHER, "", headers={"Location": page.path})


def _body(kind: str, title: str, *said: str) -> str:
    paragraphs = [*said, "You can close this window and go back to the terminal."]
    return _DOCUMENT.format(
        title=html.escape(title),
        style=_STYLE,
        kind=kind,
        paragraphs="\n".join(f"<p>{_marked_up(each)}</p>" for each in paragraphs),
    )


def _marked_up(text: str) -> str:
    """Return text as HTML; what stands in backticks is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _no(status: HTTPStatus, said: str, headers: Mapping[str, str] | None = None) -> Page:
    return Page(status, _body("failed", "This is not a login", said), headers=headers or {})


NOT_UNDERSTOOD = _no(HTTPStatus.BAD_REQUEST, "The request could not be understood.")
WRONG_HOST = _no(HTTPStatus.MISDIRECTED_REQUEST, "The request was meant for another server.")
WRONG_METHOD = _no(HTTPStatus.METHOD_NOT_ALLOWED, "Nothing can be sent here.", {"Allow": "GET"})
NOT_OURS = _no(HTTPStatus.BAD_REQUEST, "The request is of no login that waits here.")
NOTHING_HERE = _no(HTTPStatus.NOT_FOUND, "There is no such page.")
