"""What does a request of httpx look like with the keys, and can it be sent a second time?

For httpx and httpx2 alike, which is why nothing here is typed as one or the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from brokershim.awskeys import keys_of
from brokershim.delivery import Headers
from brokershim.held import Held
from brokershim.hosts import Target, check_host, name_in
from brokershim.sigv4 import Message, payload_of, signed
from brokershim.swap import Found, Keyed, find, swap

_HOST = b"host"


def found_in(request: Any) -> Found | None:
    """Return where a request holds references; None if nowhere."""
    return find(request.headers.raw, request.url.query)


def keyed(module: Any, request: Any, found: Found, leases: Mapping[str, Held]) -> Any:
    """Return a copy of a request with the keys. It shares the body's stream.

    A ``trace`` extension is left out: its callback would be handed the headers.

    Raises:
        HostNotAllowed: A key may not go there.
        UsageError: A key may not stand there.
    """
    url = request.url
    for other in _other_names(request, found):
        for name, held in leases.items():
            check_host(name, held.hosts, Target(url.scheme, other, url.port))
    target = Target(url.scheme, url.raw_host.decode("ascii"), url.port)
    parts = swap(target, found, leases)
    copy: Any = object.__new__(request.__class__)
    copy.__dict__.update(request.__dict__)
    copy.headers = module.Headers(_signed(module, request, parts, found, leases))
    if parts.query is not found.query:
        copy.url = url.copy_with(query=parts.query)
    copy.extensions = {name: it for name, it in request.extensions.items() if name != "trace"}
    return copy


def _signed(
    module: Any, request: Any, parts: Keyed, found: Found, leases: Mapping[str, Held]
) -> Headers:
    """Return headers with the signature that they hold made anew, by real credentials."""
    signature = found.signature
    if signature is None:
        return parts.headers
    path = request.url.raw_path.partition(b"?")[0].decode("ascii")
    whole = isinstance(request.stream, module.ByteStream)
    payload = payload_of(parts.headers, b"".join(request.stream) if whole else request.stream)
    host = request.url.netloc
    message = Message(request.method, path, parts.query, host, parts.headers, payload)
    name = signature.secret
    return signed(message, signature, keys_of(name, leases[name].value))


def _other_names(request: Any, found: Found) -> Iterator[str]:
    """Yield the hosts that a request names besides its URL's.

    Behind one address stand many: a shared front hands a request on by its Host header (RFC 9110,
    section 7.2), by the whole URL in its first line (RFC 9112, section 3.2.2), or by the name in
    TLS (RFC 6066, section 3), to whoever rents that name.
    """
    netloc = request.url.netloc
    for name, value in found.headers:
        if len(name) == len(_HOST) and name.lower() == _HOST and value != netloc:
            yield name_in(value.decode("latin-1"))
    extensions = request.extensions
    if extensions.get("sni_hostname"):
        yield _text(extensions["sni_hostname"])
    line = _text(extensions.get("target", "/"))
    if not line.startswith("/"):
        yield name_in(line.partition("://")[2].partition("/")[0] or line)


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def replayable(module: Any, request: Any) -> bool:
    """Return whether a request's body is the same when it is sent again.

    True of bytes, and of multipart forms whose files can be read again from their start, as
    httpx does. A one-shot iterator would be empty the second time.
    """
    stream = request.stream
    if isinstance(stream, module.ByteStream):
        return True
    kind = stream.__class__
    if (kind.__module__, kind.__name__) != (f"{module.__name__}._multipart", "MultipartStream"):
        return False
    return all(_rewinds(getattr(part, "file", b"")) for part in stream.fields)


def _rewinds(file: Any) -> bool:
    if isinstance(file, (bytes, str)):
        return True
    seekable = getattr(file, "seekable", None)
    return seekable is not None and bool(seekable())
