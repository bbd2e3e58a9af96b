"""Where do keys get into the requests of botocore?

In ``URLLib3Session.send``, which is called for each try, below all that signs, logs, keeps or
repeats a request: there everything still is a reference, and what goes to the network is a copy.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterator
from typing import Any, Callable
from urllib.parse import SplitResult, urlsplit

from brokershim.awskeys import keys_of
from brokershim.errors import BrokerError, HostNotAllowed, UsageError
from brokershim.held import Held
from brokershim.holder import Holder
from brokershim.hooks import logs
from brokershim.hooks.errors import PLAIN, taken_apart
from brokershim.hooks.rejected import refused, report
from brokershim.hosts import Target, check_host, name_in
from brokershim.scrub import Scrubber
from brokershim.sigv4 import Message, is_seekable, payload_of, signed
from brokershim.swap import Found, Keyed, find, references, swap

_CLASS, _METHOD = "URLLib3Session", "send"
_MARK = "_brokershim_patched"
_FIRST_ERROR = 300
_FORWARDED = "proxy_use_forwarding_for_https"
_PLAIN_URL = re.compile(
    r"https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]+)?([/?#]\S*)?", re.ASCII
)
"""A URL in which urllib3, which sends, sees the host that is checked here: it ends one at a
backslash, where urllib.parse goes on to the "@" after it. An endpoint may come from ~/.aws."""


def patch(module: Any, holder: Holder) -> None:
    """Make botocore's sessions swap references for keys; twice is no different.

    Where there is no such method, one line on stderr says so. References then go to AWS as they
    are, and are refused there.

    Args:
        module: ``botocore.httpsession``.
        holder: Where the keys are.
    """
    session = getattr(module, _CLASS, None)
    original = getattr(session, _METHOD, None)
    if original is None:
        sys.stderr.write(f"brokershim: botocore has no {_CLASS}.{_METHOD}: nothing is signed\n")
    elif not hasattr(original, _MARK):
        logs.install()
        setattr(session, _METHOD, _patched(original, module, holder))


def _patched(original: Any, module: Any, holder: Holder) -> Callable[[Any, Any], Any]:
    @functools.wraps(original)
    def send(self: Any, request: Any) -> Any:
        found = find(_headers_of(request), _url_of(request).query.encode())
        if found is None:
            return original(self, request)
        hop = _Hop(module, holder, functools.partial(original, self), self, found)
        outcome = hop.exchange(request)
        if not isinstance(outcome, BaseException):
            return outcome
        try:
            raise outcome
        finally:
            del outcome  # it holds this frame

    setattr(send, _MARK, True)
    return send


class _Hop:
    """Sends one request that refers to secrets.

    Exceptions are returned, not raised: a traceback keeps the frames that it came through.

    Args:
        module: ``botocore.httpsession``.
        holder: Where the keys are.
        send: Sends a request as botocore does.
        session: Knows its proxies.
        found: Where that request holds its references.
    """

    def __init__(
        self, module: Any, holder: Holder, send: Callable[[Any], Any], session: Any, found: Found
    ) -> None:
        self._module, self._holder = module, holder
        self._send_as_is, self._session, self._found = send, session, found

    def exchange(self, request: Any) -> Any:
        """Return the answer, or the exception to raise."""
        try:
            names = references(self._found)
            leases = self._leases(names)
            outcome = self._sent(request, leases)
            if not (over := _refused(outcome, leases)):
                return outcome
            report(self._holder, over, outcome.status_code)
            fresh = self._leases(names)
            differ = any(fresh[name].value != leases[name].value for name in names)
            return self._sent(request, fresh) if differ and _rewound(request) else outcome
        except BrokerError as error:
            said = f"{error.message} ({error.hint})"
        # The one that says that there are no credentials, and that botocore does not try again.
        kind = self._module.botocore.exceptions.CredentialRetrievalError
        return kind(provider="brokerctl", error_msg=said)

    def _leases(self, names: list[str]) -> dict[str, Held]:
        return {name: self._holder.get(name) for name in names}

    def _sent(self, request: Any, leases: dict[str, Held]) -> Any:
        scrubber = Scrubber({}, [lease.scrubber for lease in leases.values()])
        try:
            _check_url(request)
            self._check_route(request)
            outgoing = _keyed(request, self._found, leases)
            with logs.washed(scrubber):
                response = self._send_as_is(outgoing)
            return response if response.status_code < _FIRST_ERROR else _washed(response, scrubber)
        except BrokerError:
            raise
        except BaseException as error:  # noqa: BLE001 - raised by the caller, outside of its frames
            failure = error
        return _cleaned(failure, request, scrubber)

    def _check_route(self, request: Any) -> None:
        """Refuse a proxy that would read what is sent; raises `HostNotAllowed`."""
        config, url = self._session._proxy_config, _url_of(request)
        read = url.scheme != "https" or config.settings.get(_FORWARDED)
        if read and config.proxy_url_for(request.url):
            raise HostNotAllowed(
                f"a key may not be sent to {url.hostname} through a proxy that can read it",
                hint="name the host in NO_PROXY, or let the proxy pass TLS on",
            )


def _check_url(request: Any) -> None:
    """Refuse a URL of which the host may be read in two ways; raises `HostNotAllowed`."""
    if not _PLAIN_URL.fullmatch(str(request.url)):
        raise HostNotAllowed(
            "a key may not be sent to a URL that names no host plainly",
            hint="see `endpoint_url` in ~/.aws/config, and AWS_ENDPOINT_URL…",
        )


def _url_of(request: Any) -> SplitResult:
    return urlsplit(str(request.url))


def _headers_of(request: Any) -> list[tuple[bytes, bytes]]:
    return [(_bytes(name), _bytes(value)) for name, value in request.headers.items()]


def _bytes(text: Any) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode("utf-8", "replace")


def _keyed(request: Any, found: Found, leases: dict[str, Held]) -> Any:
    """Return a copy of a request with the keys; it shares the body."""
    url = _url_of(request)
    target = Target(url.scheme, url.hostname or "", url.port)
    for other in _other_hosts(found):
        for name, lease in leases.items():
            check_host(name, lease.hosts, target._replace(host=other))
    parts = swap(target, found, leases)
    if parts.query is not found.query:
        raise UsageError("a key stands in a URL, where botocore would show it")
    copy: Any = object.__new__(request.__class__)
    copy.__dict__.update(request.__dict__)
    copy.headers = request.headers.__class__()
    for header, value in _signed(request, url, parts, found, leases):
        copy.headers[header.decode("latin-1")] = value.decode("latin-1")
    return copy


def _other_hosts(found: Found) -> list[str]:
    # A shared front hands a request on by its Host header.
    hosts = [value for name, value in found.headers if name.lower() == b"host"]
    return [name_in(each.decode("latin-1")) for each in hosts]


def _signed(
    request: Any, url: SplitResult, parts: Keyed, found: Found, leases: dict[str, Held]
) -> list[tuple[bytes, bytes]]:
    signature = found.signature
    if signature is None:
        return parts.headers
    payload = payload_of(parts.headers, request.body)
    message = Message(
        request.method, url.path, parts.query, url.netloc.encode(), parts.headers, payload
    )
    name = signature.secret
    return signed(message, signature, keys_of(name, leases[name].value))


def _refused(outcome: Any, leases: dict[str, Held]) -> list[Held]:
    if getattr(outcome, "status_code", 0) < _FIRST_ERROR:
        return []
    error_type = _bytes(outcome.headers.get("x-amzn-errortype", ""))
    return refused(outcome.status_code, error_type, outcome.content, leases.values())


def _rewound(request: Any) -> bool:
    """Return whether a request's body can be sent once more, from its start."""
    if request.body is None or isinstance(request.body, (bytes, bytearray, str)):
        return True
    if not is_seekable(request.body):
        return False
    request.reset_stream()
    return True


def _cleaned(error: Any, request: Any, scrubber: Scrubber) -> Any:
    """Return the exception to raise, which may carry the request as it was sent, and its causes."""
    taken_apart(error, scrubber)
    if isinstance(getattr(error, "kwargs", None), dict):  # what botocore's messages are made of
        error.kwargs = {
            name: part if isinstance(part, PLAIN) else type(part).__name__
            for name, part in error.kwargs.items()
        }
    if getattr(error, "request", None) is not None:
        error.request = request
    return error


class _Read:
    """Stands in for urllib3's response, of which the body was read and scrubbed."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Iterator[bytes]:
        """Yield all of it."""
        yield self._body


def _washed(response: Any, scrubber: Scrubber) -> Any:
    """Return an answer that says no, without the keys that it may repeat."""
    headers = {
        name: scrubber.data(_bytes(value)).decode("latin-1")
        for name, value in response.headers.items()
    }
    body = scrubber.data(response.content)
    return response.__class__(response.url, response.status_code, headers, _Read(body))
