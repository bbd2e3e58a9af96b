"""How is a request signed for AWS, where the app's own signer had a reference for a key? (Pure.)

What that made names the secret, the day, the region, the service and the headers to be signed. The
signature is made anew over the request as it goes out, so that no credentials, cache, log or
exception of the app's ever holds a key, or the session token that goes along.

Source: IAM User Guide, "Create a signed AWS API request" (Signature Version 4).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Any, NamedTuple
from urllib.parse import quote, unquote_to_bytes

from brokershim.awskeys import Keys
from brokershim.delivery import Headers
from brokershim.errors import UsageError
from brokershim.reference import PREFIX, SECRET_NAME

TOKEN = b"x-amz-security-token"
_AUTHORIZATION = b"authorization"
_DATE, _PAYLOAD = b"x-amz-date", b"x-amz-content-sha256"
_ALGORITHM = "AWS4-HMAC-SHA256"
_MADE = re.compile(
    _ALGORITHM + " Credential=" + re.escape(PREFIX) + "(?P<secret>" + SECRET_NAME.pattern + ")"
    "/(?P<scope>[0-9]{8}/[a-z0-9-]+/[a-z0-9-]+/aws4_request), ?"
    r"SignedHeaders=(?P<headers>[a-z0-9!#$%&'*+.^_`|~;-]+), ?Signature=[0-9a-f]+"
)
_UNESCAPED = "-_.~"
_CHUNK = 1024 * 1024


class Signature(NamedTuple):
    """What the app's signer made of a reference, but for the signature itself.

    Attributes:
        secret: The name of the secret whose reference stands for the access key.
        scope: Day, region, service and ``aws4_request``, with slashes between them.
        headers: Names of the headers that are signed, in lower case.
    """

    secret: str
    scope: str
    headers: tuple[str, ...]


class Message(NamedTuple):
    """A request as it goes out.

    Attributes:
        method: In upper case.
        path: Percent-encoded, as in the URL.
        query: The same, without the question mark.
        host: The value of its Host header, unless ``headers`` have one.
        headers: Names and values, the app's own Authorization among them.
        payload: What is signed of its body; see `payload_of`.
    """

    method: str
    path: str
    query: bytes
    host: bytes
    headers: Headers
    payload: str


def signature_of(header: bytes, value: bytes) -> Signature | None:
    """Return what a header says that was signed with a reference; None for any other header."""
    if header.lower() != _AUTHORIZATION:
        return None
    made = _MADE.fullmatch(value.decode("latin-1"))
    if made is None:
        return None
    return Signature(made["secret"], made["scope"], tuple(made["headers"].split(";")))


def payload_of(headers: Headers, body: Any) -> str:
    """Return what is signed of a request's body: its SHA-256, or what the app says instead.

    Args:
        headers: As they go out.
        body: Bytes, text, a file that can be read again, or None for an empty one.

    Raises:
        UsageError: It could be read only once.
    """
    said = _values(headers, _PAYLOAD)
    if said:
        return said[0].decode("latin-1")
    if body is None or isinstance(body, (bytes, bytearray, str)):
        data = body.encode() if isinstance(body, str) else bytes(body or b"")
        return hashlib.sha256(data).hexdigest()
    if not is_seekable(body):
        raise UsageError(
            "a request that is to be signed has a body that can be read only once",
            hint="give its body as bytes, or as a file",
        )
    return _hash_of(body)


def is_seekable(body: Any) -> bool:
    """Return whether a request's body is a file that can be read again."""
    seekable = getattr(body, "seekable", None)
    return seekable is not None and bool(seekable())


def signed(message: Message, signature: Signature, keys: Keys) -> Headers:
    """Return a request's headers as they go out, with a signature by real credentials.

    Raises:
        UsageError: A header is not there that its signature is about.
    """
    headers = _with_token(message.headers, keys.token)
    # Always the host: it is what binds a signature to where it goes.
    names = sorted({*signature.headers, "host", TOKEN.decode()})
    date = _date(headers)
    canonical = _canonical(message, names, headers, signature.scope.split("/")[2])
    text = "\n".join((_ALGORITHM, date, signature.scope, _sha256(canonical)))
    made = _hmac(_signing_key(keys.secret_key, signature.scope), text).hex()
    authorization = (
        f"{_ALGORITHM} Credential={keys.access_key}/{signature.scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={made}"
    )
    return [*headers, (b"Authorization", authorization.encode())]


def _with_token(headers: Headers, token: str) -> Headers:
    """Return headers with a session token, and without what the app's signer made of another."""
    dropped = (_AUTHORIZATION, TOKEN)
    kept = [(name, value) for name, value in headers if name.lower() not in dropped]
    return [*kept, (b"X-Amz-Security-Token", token.encode())]


def _date(headers: Headers) -> str:
    dates = _values(headers, _DATE)
    if not dates:
        raise UsageError("a request that is to be signed has no X-Amz-Date")
    return dates[0].decode("latin-1")


def _canonical(message: Message, names: list[str], headers: Headers, service: str) -> bytes:
    lines = [
        message.method.encode(),
        _path(message.path, service).encode(),
        _query(message.query),
        *(name.encode() + b":" + _value(message, name.encode(), headers) for name in names),
        b"",
        ";".join(names).encode(),
        message.payload.encode("latin-1"),
    ]
    return b"\n".join(lines)


def _path(path: str, service: str) -> str:
    """Return a path as it is signed: without dots, and encoded once more; not so with S3."""
    if service.startswith("s3"):
        return path or "/"
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    end = "/" if parts and path.endswith("/") else ""
    return quote("/" + "/".join(parts) + end, safe="/~")


def _query(query: bytes) -> bytes:
    pairs = [each.partition(b"=") for each in query.split(b"&") if each]
    encoded = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded).encode()


def _encoded(part: bytes) -> str:
    return quote(unquote_to_bytes(part), safe=_UNESCAPED)


def _value(message: Message, name: bytes, headers: Headers) -> bytes:
    values = _values(headers, name) or ([message.host] if name == b"host" else [])
    if not values:
        raise UsageError(f"a request is signed for the header {name.decode()}, and lacks it")
    return b",".join(b" ".join(each.split()) for each in values)


def _values(headers: Headers, wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name.lower() == wanted]


def _hash_of(file: Any) -> str:
    found, start = hashlib.sha256(), file.tell()
    for part in iter(lambda: file.read(_CHUNK), b""):
        found.update(part)
    file.seek(start)
    return found.hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _signing_key(secret_key: str, scope: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode("latin-1"), hashlib.sha256).digest()
