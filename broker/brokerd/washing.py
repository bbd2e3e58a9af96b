"""What of a server's words may a person see?

Only they say what is wrong; but a server may repeat in them what it was sent, or what it holds.
"""

from __future__ import annotations

import re

_LONGEST = 240
_MASK = "[…]"
_HEAD = re.compile(r"eyJ|hv[bsr]\.|(?<![\w.])[bs]\.\w{16}")
"""How `{"` begins in base64, and so every JWT: even the first letters of one are hidden. And how
the tokens of Vault and OpenBao begin, also those few that have no digit."""
_RUN = re.compile(r"[\w+/=.~-]+")
_SHORTEST_TOKEN = 20
_SHORTEST_PART = 8
"""Of a token's parts between dots, such as a JWT has; the ``s`` of ``s.…`` is not one of them."""


def washed(text: str, *secrets: str) -> str:
    """Return a server's words without what is or may be a token, in one printable line.

    Args:
        text: What it said.
        secrets: The tokens that it was sent.
    """
    text = without(text, *secrets)
    visible = "".join(each if each.isprintable() else " " for each in text)
    whole = " ".join(_RUN.sub(_hidden, visible).split())
    return whole if len(whole) <= _LONGEST else whole[: _LONGEST - 1] + "…"


def without(text: str, *secrets: str) -> str:
    """Return a server's words without the tokens that it was sent, nor a longer part of one.

    Args:
        text: What it said.
        secrets: Those tokens.
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, _MASK)
        for part in secret.split("."):
            text = text.replace(part, _MASK) if len(part) >= _SHORTEST_PART else text
    return text


def _hidden(run: re.Match[str]) -> str:
    """Hide what has a token's shape: long, of letters and digits; few names or URLs are both."""
    word = run[0]
    mixed = any(each.isdigit() for each in word) and any(each.isalpha() for each in word)
    return _MASK if _HEAD.search(word) or (mixed and len(word) >= _SHORTEST_TOKEN) else word
