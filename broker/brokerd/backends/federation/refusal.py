"""What does it mean when a token endpoint says no?

Its words are shown to a person, since only they say which rule did not match; but a server may
repeat in them what it was sent.
"""

from __future__ import annotations

from typing import cast

from brokerd.http import Reply
from brokerd.identities.base import Token
from brokerd.washing import washed
from brokershim.errors import BrokerError, ClockSkew, ExchangeRefused

MOST_SKEW = 60.0
"""Seconds that clocks may differ by; issuers and providers allow for about as much."""


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
