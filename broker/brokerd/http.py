"""How does the daemon ask a server over HTTP? With limits on size and time, and no redirects."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

import urllib3

from brokershim.errors import BackendTimeout, ConfigError, RateLimited, ServerDown
from brokershim.hosts import is_loopback

MAX_BYTES = 1024 * 1024
"""The longest answer that is read: discovery documents and tokens are far shorter."""
CONNECT_SECONDS = 5.0
READ_SECONDS = 10.0
_TRIES = 2
_CHUNK = 64 * 1024
_TEMPORARY = (500, 502, 503, 504)
_LONGEST_PAUSE = 3600.0
_pool = urllib3.PoolManager(num_pools=16, maxsize=4)


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
        raise ConfigError(f"{where} is no URL") from None
    if not host or parts.username is not None or parts.fragment or not url.isprintable():
        raise ConfigError(f"{where} is not a URL of a server")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise ConfigError(
            f"{where} is not https", hint="only a server on this machine may do without"
        )
    return url


def get(url: str) -> Reply:
    """Ask for a document; asking again is harmless, so a failure is tried again.

    Raises:
        ServerDown: It cannot be reached, fails, redirects, or answers too much.
        BackendTimeout: It does not answer in time.
        RateLimited: It asks for a pause.
    """
    return _ask("GET", url, {}, None)


def post_form(url: str, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Reply:
    """Send a form; a request that was sent is never sent a second time. Raises as `get`."""
    kind = {"content-type": "application/x-www-form-urlencoded"}
    return _ask("POST", url, {**kind, **(headers or {})}, urlencode(form).encode())


def post_json(url: str, document: Mapping[str, str], headers: Mapping[str, str]) -> Reply:
    """Send a JSON object; a request that was sent is never sent a second time. Raises as `get`."""
    kind = {"content-type": "application/json"}
    return _ask("POST", url, {**kind, **headers}, json.dumps(document).encode())


def _ask(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
    host = urlsplit(url).netloc
    again = method == "GET"
    retries = urllib3.Retry(
        total=_TRIES,
        connect=_TRIES,  # nothing was sent
        read=_TRIES if again else 0,
        status=_TRIES if again else 0,
        other=0,
        redirect=False,
        status_forcelist=_TEMPORARY if again else (),
        allowed_methods=None,
        backoff_factor=0.2,
        backoff_jitter=0.2,
        respect_retry_after_header=False,
        raise_on_status=False,
    )
    asked = {"accept": "application/json", "accept-encoding": "identity", **headers}
    return _guarded(
        host,
        lambda: _reply(
            host,
            _pool.request(
                method,
                url,
                headers=asked,
                body=body,
                redirect=False,
                preload_content=False,
                retries=retries,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
            ),
        ),
    )


def _guarded(host: str, ask: Callable[[], Reply]) -> Reply:
    """Translate what urllib3 raises; its own errors, which repeat the URL, are not chained."""
    try:
        return ask()
    except urllib3.exceptions.HTTPError as error:
        cause = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
    if isinstance(cause, urllib3.exceptions.TimeoutError):
        raise BackendTimeout(f"{host} does not answer")
    if isinstance(cause, urllib3.exceptions.SSLError):
        raise ServerDown(f"{host} cannot prove that it is {host} (TLS)", hint="see its certificate")
    raise ServerDown(f"{host} cannot be reached ({type(cause).__name__})")


def _reply(host: str, response: urllib3.BaseHTTPResponse) -> Reply:
    try:
        body = _read(host, response)
    finally:
        response.close()
    reply = Reply(response.status, _skew(response.headers.get("date")), body)
    if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise _rate_limited(host, response.headers.get("retry-after"))
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ServerDown(f"{host} fails with status {reply.status}")
    if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST:
        raise ServerDown(f"{host} redirects, and a token goes only where it is meant to go")
    return reply


def _read(host: str, response: urllib3.BaseHTTPResponse) -> bytes:
    deadline = time.monotonic() + READ_SECONDS
    body = b""
    for part in response.stream(_CHUNK, decode_content=False):
        body += part
        if len(body) > MAX_BYTES:
            raise ServerDown(f"{host} answers more than {MAX_BYTES} bytes")
        if time.monotonic() > deadline:
            raise BackendTimeout(f"{host} takes too long to answer")
    return body


def _rate_limited(host: str, retry_after: str | None) -> RateLimited:
    """Read Retry-After (RFC 9110, section 10.2.3): seconds, or a date."""
    seconds = float(retry_after) if retry_after and retry_after.isdecimal() else _skew(retry_after)
    details = {} if seconds is None else {"retry_after": min(max(seconds, 0.0), _LONGEST_PAUSE)}
    pause = f" for {details['retry_after']:.0f} s" if details else ""
    return RateLimited(f"{host} asks for a pause{pause}", details=details)


def _skew(date: str | None) -> float | None:
    """Return the seconds from now until a date of HTTP, negative where it is past."""
    if date is None:
        return None
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return None
