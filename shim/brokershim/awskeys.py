"""Which credentials of AWS does a secret hold, and does AWS say that they are over? (Pure.)"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, cast

from brokershim.errors import BackendUnavailable
from brokershim.reference import is_key

_REFUSED = (400, 401, 403)
_OVER = re.compile(
    b"ExpiredToken|InvalidToken|InvalidClientTokenId|InvalidAccessKeyId|UnrecognizedClient"
)
_SAYS_WHY = 4096
"""Bytes of an answer in which its error is named."""


class Keys(NamedTuple):
    """Credentials of AWS. Keep them no longer than it takes to sign."""

    access_key: str
    secret_key: str
    token: str

    def __repr__(self) -> str:
        """Show no key."""
        return "Keys(...)"


def keys_of(name: str, value: str) -> Keys:
    """Return the credentials that a secret's value holds, as ``credential_process`` prints them.

    Raises:
        BackendUnavailable: It holds none.
    """
    try:
        read: object = json.loads(value)
    except (ValueError, RecursionError):
        read = None
    parts = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
    found = [parts.get(each) for each in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    del read, parts, value  # from this frame, which the error's traceback holds
    if all(isinstance(each, str) and is_key(each) for each in found):
        return Keys(*cast("list[str]", found))
    del found
    raise BackendUnavailable(f"{name} does not hold credentials of AWS")


def are_over(status: int, error_type: bytes, body: bytes) -> bool:
    """Return whether AWS refuses the credentials themselves, and not what they may do.

    Args:
        status: Of the answer.
        error_type: Its header ``x-amzn-errortype``; empty where it has none.
        body: The answer's.
    """
    return status in _REFUSED and bool(_OVER.search(error_type or body[:_SAYS_WHY]))
