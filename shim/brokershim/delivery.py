"""How does a key stand in a request, where not simply in its reference's place? (Pure.)

A token of RFC 6750 goes out as ``Authorization: Bearer``, whatever header the app's SDK knows for
keys, and a provider may want more headers along with it. The headers are rearranged while they
still hold references, so no key passes through here.
"""

from __future__ import annotations

import re
from typing import NamedTuple, cast

from brokershim.errors import MalformedRequest, UsageError
from brokershim.reference import reference

Headers = list[tuple[bytes, bytes]]

_AUTHORIZATION = b"authorization"
_BEARER = b"bearer "
_KEY_HEADERS = frozenset((_AUTHORIZATION, b"x-api-key", b"api-key", b"x-goog-api-key"))
"""Where SDKs put a key, and nothing else."""
_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_VALUE = re.compile(r"[!-~]+(?: [!-~]+)*")
_NOT_OURS = re.compile(
    "host|connection|keep-alive|content-.*|transfer-encoding|te|trailer|upgrade|expect|cookie"
    "|forwarded|x-forwarded-.*|x-http-method.*|proxy-.*|" + b"|".join(_KEY_HEADERS).decode()
)
"""Headers that say where a message ends, where it goes, or who sends it."""


class Delivery(NamedTuple):
    """How a key stands in a request.

    Attributes:
        bearer: Whether it goes out as ``Authorization: Bearer`` (RFC 6750, section 2.1).
        headers: Names, in lower case, and values of the headers that go along with it.
        signs: Whether it is credentials of AWS, which sign a request; see `brokershim.sigv4`.
    """

    bearer: bool = False
    headers: tuple[tuple[bytes, bytes], ...] = ()
    signs: bool = False


PLAIN = Delivery()
"""The key stands where its reference stood."""


def delivery_of(stated: object) -> Delivery:
    """Return the delivery that a reply to lease.acquire describes.

    Args:
        stated: The reply's ``delivery``; None from a daemon that knows of one only.

    Raises:
        MalformedRequest: It is not of the right shape, or names a header that is not to be set:
            a mistake of the daemon's must not become a second request inside this one.
    """
    if stated is None:
        return PLAIN
    parts = cast("dict[str, object]", stated) if isinstance(stated, dict) else {}
    bearer, headers, signs = (parts.get(each) for each in ("bearer", "headers", "signs"))
    signs = False if signs is None else signs  # from a daemon that knows of no such secrets
    if not (isinstance(bearer, bool) and isinstance(headers, dict) and isinstance(signs, bool)):
        raise MalformedRequest("the daemon's reply does not describe a delivery")
    named = cast("dict[object, object]", headers)
    return Delivery(bearer, tuple(_header(name, value) for name, value in named.items()), signs)


def _header(name: object, value: object) -> tuple[bytes, bytes]:
    """Return a header (RFC 9110, sections 5.1 and 5.5) that may be added to a request."""
    if not (isinstance(name, str) and isinstance(value, str)):
        raise MalformedRequest("the daemon's reply does not describe a delivery")
    if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)) or _NOT_OURS.fullmatch(name):
        raise MalformedRequest("the daemon names a header that is not to be added")
    return name.encode(), value.encode()


def arranged(headers: Headers, secret: str, delivery: Delivery) -> Headers:
    """Return a request's headers as a secret is to be delivered, still with its reference.

    Args:
        headers: Names and values as the app sends them.
        secret: The secret's name.
        delivery: How its key is to stand there.

    Raises:
        UsageError: The request has an ``Authorization`` of its own, which a provider might take
            for the key.
    """
    if delivery.bearer:
        headers = _as_bearer(headers, secret)
    for name, value in delivery.headers:
        headers = _listed(headers, name, value)
    return headers


def _as_bearer(headers: Headers, secret: str) -> Headers:
    """Return headers with a reference in ``Authorization``, and in none of the key headers."""
    wanted = reference(secret).encode()
    rest = [
        (name, value)
        for name, value in headers
        if not (name.lower() in _KEY_HEADERS and _credentials(value) == wanted)
    ]
    if any(name.lower() == _AUTHORIZATION for name, _ in rest):
        raise UsageError(
            f"{secret} goes into the Authorization header, where the app has something else",
            hint="set one key for this provider, and no second one such as an auth token",
        )
    return [*rest, (b"Authorization", b"Bearer " + wanted)]


def _credentials(value: bytes) -> bytes:
    """Return a key header's value without its scheme."""
    value = value.strip()
    return value[len(_BEARER) :].strip() if value[: len(_BEARER)].lower() == _BEARER else value


def _listed(headers: Headers, wanted: bytes, value: bytes) -> Headers:
    """Return headers of which one lists a value (RFC 9110, section 5.6.1), next to the app's."""
    places = [at for at, (name, _) in enumerate(headers) if name.lower() == wanted]
    if not places:
        return [*headers, (wanted, value)]
    there = {each for at in places for each in _items(headers[at][1])}
    name, last = headers[places[-1]]
    more = [each for each in _items(value) if each not in there]
    headers = headers.copy()
    headers[places[-1]] = name, b",".join([*filter(None, [last]), *more])
    return headers


def _items(value: bytes) -> list[bytes]:
    return [each.strip() for each in value.split(b",") if each.strip()]
