"""What does it mean when a token endpoint says no?

Its words are shown to a person, since only they say which rule did not match; but a server may
repeat in them what it was sent.
"""

from __future__ import annotations

import re
from typing import cast

from brokerd.http import Reply
from brokerd.identities.base import Token
from brokershim.errors import BrokerError, ClockSkew, ExchangeRefused

MOST_SKEW = 60.0
"""Seconds that clocks may differ by; issuers and providers allow for about as much."""
_LONGEST = 240
_MASK = "[…]"
_HEAD = "eyJ"
"""How `{"` begins in base64, and so every JWT: even the first letters of one are hidden."""
_RUN = re.compile(r"[\w+/=.~-]+")
_SHORTEST_TOKEN = 20


def refused(host: str, reply: Reply, token: Token) -> BrokerError:
    """Return the error for an exchange that was refused.

    Args:
        host: Who refused it.
        reply: What it said, with a status of 400 or more.
        token: What it was sent.
    """
    code, text = _words(reply)
    said = washed(": ".join(each for each in (code, text) if each), token.value)
    reason = said or f"status {reply.status}"
    if is_skewed(reply):
        return skewed(host, reply, f"it says: {reason}")
    details = {"status": reply.status, "reason": reason}
    return ExchangeRefused(f"{host} refuses the exchange: {reason}", details=details)


def is_skewed(reply: Reply) -> bool:
    """Return whether the server's clock and this machine's are too far apart."""
    return reply.skew is not None and abs(reply.skew) > MOST_SKEW


def skewed(host: str, reply: Reply, why: str) -> ClockSkew:
    """Return the error that names how far the clocks are apart, and which way."""
    skew = reply.skew or 0.0
    side = "behind" if skew > 0 else "ahead of"
    seconds = round(abs(skew))
    return ClockSkew(
        f"this machine's clock is {seconds} s {side} the one of {host}; {why}",
        details={"skew": round(skew)},
    )


def washed(text: str, secret: str) -> str:
    """Return a server's words without what is or may be a token, in one printable line.

    Args:
        text: What it said.
        secret: A token that it was sent.
    """
    for part in (secret, *secret.split(".")):
        text = text.replace(part, _MASK) if part else text
    visible = "".join(each if each.isprintable() else " " for each in text)
    whole = " ".join(_RUN.sub(_hidden, visible).split())
    return whole if len(whole) <= _LONGEST else whole[: _LONGEST - 1] + "…"


def _hidden(run: re.Match[str]) -> str:
    """Hide what has a token's shape: long, of letters and digits; few names or URLs are both."""
    word = run[0]
    mixed = any(each.isdigit() for each in word) and any(each.isalpha() for each in word)
    return _MASK if _HEAD in word or (mixed and len(word) >= _SHORTEST_TOKEN) else word


def _words(reply: Reply) -> tuple[str, str]:
    """Return the code and the text of an error (RFC 6749, section 5.2, or a vendor's object)."""
    document = reply.document()
    error: object = document.get("error")
    if isinstance(error, dict):
        inner = cast("dict[str, object]", error)
        return _text(inner.get("type")), _text(inner.get("message"))
    return _text(error), _text(document.get("error_description"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
