"""What does a signed token say, and is it for this audience and this moment? (RFC 7519.)

Its signature is not looked at: the token is not for this daemon. The server that it is sent to
verifies it. What is checked here is what would fail there without a clear word.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from brokerd.identities.base import Token
from brokershim import clock
from brokershim.errors import ClockSkew, IdentityExpired, IdentityUnavailable

MAX_BYTES = 16 * 1024
"""The longest token: it has to fit into one header of a request."""
_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
_AHEAD_SECONDS = 60.0
"""How far an issuer's clock may be ahead of this one."""
_LATEST = 253402300800.0
"""The year 10000, which no date can name."""


class Clocks(NamedTuple):
    """Two clocks.

    Attributes:
        wall: Seconds since 1970, which tokens count in (RFC 7519, NumericDate).
        now: Seconds of `brokershim.clock.now`, which leases count in.
    """

    wall: Callable[[], float] = time.time
    now: Callable[[], float] = clock.now


CLOCKS = Clocks()
"""This machine's."""


def token_of(text: str, source: str, audience: str | None, clocks: Clocks) -> Token:
    """Return a token that can be used now.

    Args:
        text: What may be a JWT in its compact form.
        source: Where it is from, for messages, such as ``the token in /run/token``.
        audience: Whom it has to be for; None for anyone.
        clocks: What time it is.

    Raises:
        IdentityUnavailable: It is no signed JWT, has no expiry, or is for somebody else.
        IdentityExpired: It is over.
        ClockSkew: It is not valid yet.
    """
    claims = _claims(text, source)
    if audience is not None:
        _check_audience(claims, source, audience)
    return Token(
        value=text,
        issuer=_text(claims, "iss", source) or "",
        subject=_text(claims, "sub", source) or "",
        expires_at=clocks.now() + _seconds_left(claims, source, clocks.wall()),
        id=_text(claims, "jti", source),
    )


def _claims(text: str, source: str) -> Mapping[str, Any]:
    match = _COMPACT.fullmatch(text) if len(text) <= MAX_BYTES else None
    if match is None:
        raise _useless(f"{source} is not a signed JWT")
    header, claims = _json(match[1], source), _json(match[2], source)
    if not isinstance(header.get("alg"), str) or header["alg"].lower() == "none":
        raise _useless(f"{source} is not signed")
    return claims


def _json(part: str, source: str) -> Mapping[str, Any]:
    try:
        found: object = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _useless(f"{source} is not a signed JWT")
    return cast("dict[str, Any]", found)


def _text(claims: Mapping[str, Any], name: str, source: str) -> str | None:
    found = claims.get(name)
    if found is not None and not (isinstance(found, str) and found.isprintable()):
        raise _useless(f"the {name} of {source} is not a text")
    return found


def _time(claims: Mapping[str, Any], name: str, source: str) -> float | None:
    found = claims.get(name)
    if found is None:
        return None
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if not is_number or not 0 <= found < _LATEST:
        raise _useless(f"the {name} of {source} is not a time")
    return float(found)


def _seconds_left(claims: Mapping[str, Any], source: str, wall: float) -> float:
    ends = _time(claims, "exp", source)
    if ends is None:
        raise _useless(f"{source} never ends, and so proves nothing")
    starts = max(_time(claims, name, source) or 0.0 for name in ("nbf", "iat"))
    if starts > wall + _AHEAD_SECONDS:
        raise ClockSkew(
            f"{source} is valid from {_date(starts)} on, and here it is only {_date(wall)}"
        )
    if ends <= wall:
        raise IdentityExpired(
            f"{source} was over at {_date(ends)}", hint="see what ought to renew it, and does not"
        )
    return ends - wall


def _useless(message: str) -> IdentityUnavailable:
    return IdentityUnavailable(message, hint="see what writes it")


def _check_audience(claims: Mapping[str, Any], source: str, audience: str) -> None:
    found = claims.get("aud")
    entries = cast("list[object]", found) if isinstance(found, list) else [found]
    if audience not in entries:
        texts = [each for each in entries if isinstance(each, str) and each.isprintable()]
        raise IdentityUnavailable(
            f"{source} is for {', '.join(texts) or 'nobody'}, and not for {audience}",
            hint="have it issued for that audience, or set `audience` to the one that it is for",
        )


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
