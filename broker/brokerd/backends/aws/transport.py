"""How does a request that botocore has signed get to AWS and back?

Over one connection, which is all of `roundtrip`'s: within a deadline, up to a size, without a
redirect, and past every proxy, bundle of authorities and log of TLS keys that the environment names
and botocore's own connections would take. An answer that AWS cannot have given goes no further.
"""

from __future__ import annotations

import importlib
import json
import math
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from brokerd.backends.aws.answers import PROXY_HINT
from brokerd.lost import Lost
from brokerd.roundtrip import TOTAL_SECONDS, Answer, RoundTrip
from brokerd.trust import Trust
from brokershim.errors import BackendTimeout, BackendUnavailable, ServerDown

_awsrequest: Any = importlib.import_module("botocore.awsrequest")  # it carries no types
_exceptions: Any = importlib.import_module("botocore.exceptions")

_UNTIL = "brokerd_until"
QUESTION_SECONDS = 35.0
"""How long all requests that one question leads to may take: a login, each role of a chain, and
what was asked, any of them once more. Less than the daemon waits for a backend, which would leave
the thread behind."""
_question: ContextVar[float] = ContextVar("question", default=math.inf)
_LEAST_SECONDS = 0.05
_LONGEST = 4 * 1024 * 1024
"""Bytes of an answer: BatchGetSecretValue brings up to 20 secrets of 64 KiB, in JSON or base64."""
_HANGS = (
    "try again; if that does not help, look for what is between: a firewall, or a VPC without an "
    "endpoint for this service (`endpoints` in config.toml)"
)
_JSON = "application/x-amz-json"
_DROPPED = frozenset({"x-amzn-trace-id"})
"""Which botocore takes from the environment; it is not signed."""


@contextmanager
def one_question() -> Generator[None]:
    """Let all requests within, of this thread, have `QUESTION_SECONDS` together.

    Whatever is asked after that raises `BackendTimeout`.
    """
    token = _question.set(time.monotonic() + QUESTION_SECONDS)
    try:
        yield
    finally:
        _question.reset(token)


class Transport:
    """Sends what botocore asks; a handler of its event ``before-send``.

    Args:
        trust: How AWS proves who it is.
    """

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def send(self, request: Any, **_: Any) -> Any:
        """Return an answer as botocore reads it.

        Raises:
            BackendTimeout: There was none in time, all attempts at this call together, or all calls
                of `one_question`.
            ServerDown: It is none of AWS.
            HTTPClientError: There was none, and botocore may try again; our own error is in it.
            BrokerError: As `RoundTrip`.
        """
        host = urlsplit(str(request.url)).netloc
        now = time.monotonic()
        until = request.context.setdefault(_UNTIL, now + TOTAL_SECONDS)
        end, seconds = min((until, TOTAL_SECONDS), (_question.get(), QUESTION_SECONDS))
        left = end - now
        if left < _LEAST_SECONDS:
            raise BackendTimeout(f"{host} does not serve in {seconds:.0f} s", hint=_HANGS)
        body: Any = request.body
        body = body.encode() if isinstance(body, str) else body
        line = request.method, request.url, _headers(request), body
        found = RoundTrip(*line, self._trust, _LONGEST).make(left)
        if isinstance(found, Lost):
            raise _told(found)
        _judge(host, request, found)
        return _awsrequest.AWSResponse(
            request.url, found.status, dict(found.headers.items()), _Body(found.body)
        )


class _Body:
    """What botocore reads an answer's body from."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        """Yield all of it."""
        yield self._body


def _headers(request: Any) -> dict[str, str]:
    asked: dict[str, str] = {}
    for name, value in request.headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if name.lower() not in _DROPPED:
            asked[name.lower()] = text
    return asked


def _told(lost: Lost) -> Exception:
    """Return what tells botocore whether another try may fare better."""
    if not lost.again:
        return lost.error
    failure: Exception = _exceptions.HTTPClientError(error=lost.error)
    return failure


def own_error(failure: Any) -> BackendUnavailable | None:
    """Return our own error that is in one of botocore's, if there is one."""
    found = failure.kwargs.get("error")
    return found if isinstance(found, BackendUnavailable) else None


def _judge(host: str, request: Any, answer: Answer) -> None:
    """Refuse what AWS cannot have said; botocore takes such a thing for an empty answer.

    Raises:
        ServerDown: It is a redirect, or no JSON where that was asked in.
        HTTPClientError: It has a document type, or too many levels, which AWS never sends; botocore
            may try again.
    """
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        raise ServerDown(f"{host} redirects, and a signed request goes only where it is meant to")
    asked_in_json = _headers(request).get("content-type", "").startswith(_JSON)
    if answer.status < HTTPStatus.BAD_REQUEST and asked_in_json and not _is_object(answer.body):
        raise foreign(host, answer.status)
    if not asked_in_json and (_has_document_type(answer.body) or _is_too_deep(answer.body)):
        raise _exceptions.HTTPClientError(error=foreign(host, answer.status))


def foreign(host: str, status: int) -> ServerDown:
    """Return the error for what is no answer of AWS."""
    return ServerDown(
        f"{host} answers what AWS does not (status {status})",
        hint=PROXY_HINT,
    )


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def _has_document_type(body: bytes) -> bool:
    """Return whether XML may define entities, of which a little becomes hundreds of megabytes.

    (XML 1.0, section 2.8.) Of all encodings that Python's parser knows, only UTF-16 does not write
    it so, and has zeros for it.
    """
    return b"<!DOCTYPE" in body or b"\0" in body


def _is_too_deep(body: bytes) -> bool:
    """Return whether JSON has more levels than Python's parser, which botocore's handlers call."""
    try:
        json.loads(body)
    except RecursionError:
        return True
    except ValueError:
        return False
    return False
