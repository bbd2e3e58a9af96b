"""What does one server's answer mean: is it a Vault's, and has the request had an effect?

A 2xx, and a 4xx in which a Vault says why, go on to hvac. Anything else is an error of ours: a
page of a proxy must be taken neither for a key nor for a secret that is gone.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import requests

from brokerd.http import rate_limited
from brokerd.lost import Lost
from brokerd.roundtrip import Answer
from brokerd.washing import washed
from brokershim.errors import BackendUnavailable, ServerDown, ServerSealed, ServerStandby

_HEALTH = "/v1/sys/health"
_STANDBY = {
    412: ", and has not caught up with its cluster yet",
    472: " for disasters",
    473: " that only reads",
    474: ", and does not reach the active server",
}
"""What a Vault means by a status (its API, "/sys/health" and "HTTP status codes"); by 429, too,
but only as to its health."""
_NO_LEADER = "local node not active"
_PLAIN = frozenset({"role", "path", "paths", "ttl", "increment", "lease_id", "common_name"})
"""What a request may hold that its refusal may show again; all else may be a secret."""
_SHORTEST_SECRET = 6


def judged(host: str, asked: requests.PreparedRequest, answer: Answer) -> requests.Response | Lost:
    """Return an answer that is hvac's to read, or what is wrong with it.

    Args:
        host: Who answers.
        asked: What it was asked.
        answer: What it said.
    """
    document, status = _document(answer.body), answer.status
    health = urlsplit(str(asked.url)).path == _HEALTH
    if status in _STANDBY or (health and status == HTTPStatus.TOO_MANY_REQUESTS):
        return _unmade(ServerStandby(f"{host} is a standby{_STANDBY.get(status, '')}"))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        limited = rate_limited(host, answer.headers.get("retry-after"))
        return Lost(limited, sent=False, again=False)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _failing(host, status, "; ".join(_words(document or {}, asked)), health)
    readable = _readable(status, document, asked)
    return _foreign(host, status) if readable is None else _response(status, readable)


def _readable(
    status: int, document: dict[str, Any] | None, asked: requests.PreparedRequest
) -> dict[str, Any] | None:
    """Return what hvac may read of an answer; None where no Vault answers so."""
    if status == HTTPStatus.NO_CONTENT or (status == HTTPStatus.OK and asked.method == "HEAD"):
        return {}
    if status >= HTTPStatus.BAD_REQUEST and document is not None and _says_why(document):
        return _clean(document, asked)
    return document if status == HTTPStatus.OK else None


def _failing(host: str, status: int, said: str, health: bool) -> Lost:
    if status == HTTPStatus.NOT_IMPLEMENTED:
        return _unmade(ServerSealed(f"{host} is not initialised"))
    if status == HTTPStatus.SERVICE_UNAVAILABLE and (health or "sealed" in said):
        return _unmade(ServerSealed(f"{host} is sealed"))
    if _NO_LEADER in said:
        return _unforwarded(host, "knows of no active server")
    reason = f"{host} fails with status {status}{': ' if said else ''}{said}"
    return Lost(ServerDown(reason, details={"reason": said}), sent=True)


def _foreign(host: str, status: int) -> Lost:
    """Return the error for what no Vault answers."""
    if status == HTTPStatus.TEMPORARY_REDIRECT:
        return _unforwarded(host, "redirects to another server")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        error = ServerDown(f"{host} redirects, and a token goes only where it is meant to go")
    else:
        error = ServerDown(
            f"{host} answers what no Vault does (status {status})",
            hint="is there a proxy before it? correct its address in config.toml",
        )
    return Lost(error, sent=True, again=False)


def _unforwarded(host: str, what: str) -> Lost:
    """Return the outcome of a request that a standby may have passed on in vain.

    It says so, too, where the connection to the active server breaks after that has acted on the
    request (Vault, "High availability mode", "Request forwarding").
    """
    return Lost(ServerStandby(f"{host} is a standby, and {what}"), sent=True, again=False)


def _unmade(error: BackendUnavailable) -> Lost:
    """Return the outcome of a request that surely had no effect."""
    return Lost(error, sent=False, again=False)


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        found: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def _says_why(document: dict[str, Any]) -> bool:
    """Return whether a 4xx is a Vault's: it lists errors, or is an answer like any other.

    That is a 404 for a version of a KV 2 secret that is deleted, and for a path of KV 1 there.
    """
    errors: object = document.get("errors", ())
    listed = isinstance(errors, list) and _errors(document) == errors
    return listed or ("errors" not in document and "request_id" in document)


def _errors(document: dict[str, Any]) -> list[str]:
    found: object = document.get("errors")
    several = cast("list[object]", found) if isinstance(found, list) else []
    return [each for each in several if isinstance(each, str)]


def _clean(document: dict[str, Any], asked: requests.PreparedRequest) -> dict[str, Any]:
    """Return a refusal with no secret in its errors; hvac puts them into its exceptions."""
    if "errors" not in document:
        return document
    return {"errors": _words(document, asked)}


def _words(document: dict[str, Any], asked: requests.PreparedRequest) -> list[str]:
    secrets = list(_secrets(asked))
    return [washed(each, *secrets) for each in _errors(document)]


def _secrets(asked: requests.PreparedRequest) -> Iterator[str]:
    """Yield what a request holds that its answer must not show again."""
    yield str(asked.headers.get("x-vault-token", ""))
    body = asked.body if isinstance(asked.body, bytes) else b""
    sent = (_document(body) or {}).items()
    for name, value in (*sent, *parse_qsl(urlsplit(str(asked.url)).query)):
        if isinstance(value, str) and len(value) >= _SHORTEST_SECRET and name not in _PLAIN:
            yield value


def _response(status: int, document: dict[str, Any]) -> requests.Response:
    """Return what hvac reads. It holds neither the request nor the body as it came."""
    response = requests.Response()
    response.status_code = status
    response.headers["content-type"] = "application/json"
    response.encoding = "utf-8"
    response.raw = io.BytesIO(json.dumps(document).encode())
    return response
