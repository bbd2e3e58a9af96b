"""What does a provider's token endpoint answer? (RFC 6749, section 5.)"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from brokerd import http
from brokerd.identities.oidc import words
from brokershim.errors import ServerDown

_OK = 200
_LIFE_KEYS = ("refresh_expires_in", "refresh_token_expires_in")
"""No standard names it: the first is Keycloak's, the second what others have taken up."""


@dataclass(frozen=True)
class Grant:
    """What was given. Its repr shows no token.

    Attributes:
        access_token: For a resource; None where there is none.
        id_token: Says who it is; None where there is none.
        refresh_token: For the next time; None where there is none, or the old one stays.
        refresh_life: How long that one lives, in seconds; None where nobody says.
        skew: Seconds that the provider's clock is ahead of this one; None where it does not say.
    """

    access_token: str | None = field(repr=False)
    id_token: str | None = field(repr=False)
    refresh_token: str | None = field(repr=False)
    refresh_life: float | None
    skew: float | None


@dataclass(frozen=True)
class Refusal:
    """Why nothing was given.

    Attributes:
        code: Such as ``invalid_grant``.
        said: The code and the provider's own words, scrubbed.
    """

    code: str
    said: str


def ask(url: str, form: Mapping[str, str]) -> Grant | Refusal:
    """Ask for tokens; a request that was sent is never sent again.

    Raises:
        ServerDown: The provider cannot be reached, or answers neither.
        BackendTimeout: It does not answer in time.
        RateLimited: It asks for a pause.
    """
    reply = http.post_form(url, form)
    document = reply.document()
    if reply.status == _OK and document:
        return _grant(document, reply.skew)
    code = words.code_of(document)
    if reply.status == _OK or not code:
        host = urlsplit(url).netloc
        raise ServerDown(f"{host} answers status {reply.status} with neither a token nor a reason")
    return Refusal(code, words.said(document))


def _grant(document: Mapping[str, Any], skew: float | None) -> Grant:
    return Grant(
        access_token=_text(document, "access_token"),
        id_token=_text(document, "id_token"),
        refresh_token=_text(document, "refresh_token"),
        refresh_life=next(filter(None, (_seconds(document.get(key)) for key in _LIFE_KEYS)), None),
        skew=skew,
    )


def _text(document: Mapping[str, Any], key: str) -> str | None:
    found: object = document.get(key)
    return found if isinstance(found, str) and found else None


def _seconds(value: object) -> float | None:
    """Return a life; 0 is how Keycloak says "without end"."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 < value < math.inf and value < 2**53 else None
