"""How does the daemon ask a server over HTTP? With limits on size and time, and no redirects."""

from __future__ import annotations

import email.utils
import json
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from brokerd.lost import Lost
from brokerd.roundtrip import Answer, RoundTrip
from brokershim.errors import BackendTimeout, ConfigError, RateLimited, ServerDown
from brokershim.hosts import is_loopback

_PAUSES = (0.2, 0.4)
"""Seconds before another try, where one does no harm."""
_TEMPORARY = (500, 502, 503, 504)
_LONGEST_PAUSE = 3600.0
_URL_HINT = "write it whole, and nothing else, as in https://server.example.com:8200"


@dataclass(frozen=True)
class Reply:
    """What a server answered. Its repr shows no body, which may hold tokens.

    Attributes:
        status: The status code.
        skew: Seconds that the server's clock is ahead of this one (RFC 9110, section 6.6.1, so to
            about a second); None where it does not say.
    """

    status: int
    skew: float | None
    _body: bytes

    def __repr__(self) -> str:
        """Show no body."""
        return f"Reply({self.status})"

    def document(self) -> dict[str, Any]:
        """Return the body as a JSON object; empty where it is anything else."""
        try:
            found: object = json.loads(self._body)
        except (ValueError, RecursionError):
            return {}
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def check_url(where: str, url: str) -> str:
    """Return a URL unchanged where tokens may be sent there.

    Args:
        where: What the URL is, for the message.
        url: A URL from a configuration or a server.

    Raises:
        ConfigError: It is not https, nor http to this machine; or it names a user.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"{where} is no URL", hint=_URL_HINT) from None
    # RFC 3986, section 2: a URL is ASCII. A space in it would end the request's first line.
    visible = url.isascii() and url.isprintable() and " " not in url
    if not host or parts.username is not None or parts.fragment or not visible:
        raise ConfigError(f"{where} is not a URL of a server", hint=_URL_HINT)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ConfigError(
            f"{where} is not https", hint="only a server on this machine may do without"
        )
    return url


def get(url: str) -> Reply:
    """Ask for a document; asking again is harmless, so what fails at once is tried again.

    Raises:
        ServerDown: It cannot be reached, fails, redirects, or answers too much.
        BackendTimeout: It does not answer in time.
        RateLimited: It asks for a pause.
    """
    return _ask("GET", url, {}, None)


def post_form(
    url: str,
    form: Mapping[str, str] | Sequence[tuple[str, str]],
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Send a form; a request that may have been sent is never sent a second time.

    Raises:
        ServerDown: As `get`; in the details ``sent`` says whether the server may have it, and
            ``temporary`` whether another try may fare better.
        BackendTimeout: Likewise.
        RateLimited: As `get`.
    """
    kind = {"content-type": "application/x-www-form-urlencoded"}
    return _ask("POST", url, {**kind, **(headers or {})}, urlencode(form).encode())


def post_json(url: str, document: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
    """Send a JSON object; otherwise as `post_form`."""
    kind = {"content-type": "application/json"}
    return _ask("POST", url, {**kind, **headers}, json.dumps(document).encode())


def _ask(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
    harmless = method == "GET"
    found = RoundTrip(method, url, headers, body).make()
    for pause in _PAUSES:
        if not _may_repeat(found, harmless):
            break
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, hides nothing
        found = RoundTrip(method, url, headers, body).make()
    return _reply(urlsplit(url).netloc, found)


def _may_repeat(found: Answer | Lost, harmless: bool) -> bool:
    if isinstance(found, Lost):
        # Who waits has waited long enough for what never came.
        slow = isinstance(found.error, BackendTimeout)
        return found.again and not slow and (harmless or not found.sent)
    return harmless and found.status in _TEMPORARY


def _reply(host: str, found: Answer | Lost) -> Reply:
    if isinstance(found, Lost):
        found.error.details.update(sent=found.sent, temporary=found.again)
        raise found.error
    status = found.status
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise rate_limited(host, found.headers.get("retry-after"))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        details = {"sent": True, "temporary": status in _TEMPORARY}
        raise ServerDown(f"{host} fails with status {status}", details=details)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise ServerDown(
            f"{host} redirects, and a token goes only where it is meant to go",
            details={"sent": True, "temporary": False},
        )
    return Reply(status, _until(found.headers.get("date")), found.body)


def rate_limited(host: str, retry_after: str | None) -> RateLimited:
    """Return the error for a 429 with a Retry-After (RFC 9110, section 10.2.3): seconds or a date.

    Args:
        host: Who asks for a pause.
        retry_after: That header; None where there is none.
    """
    numeric = retry_after is not None and retry_after.strip().isdecimal()
    seconds = float(retry_after) if retry_after and numeric else _until(retry_after)
    details: dict[str, Any] = {"sent": True, "temporary": False}
    if seconds is None:
        return RateLimited(f"{host} asks for a pause", details=details)
    details["retry_after"] = pause = min(max(seconds, 0.0), _LONGEST_PAUSE)
    return RateLimited(f"{host} asks for a pause for {math.ceil(pause)} s", details=details)


def _until(date: str | None) -> float | None:
    """Return the seconds from now until a date of HTTP, negative where it is past."""
    if date is None:
        return None
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
