"""What is a role's session called, and which credentials does STS answer with?"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from brokerd.backends.aws.login.base import Keys
from brokershim import clock
from brokershim.errors import ServerDown

_LONGEST = 64
_FOREIGN = re.compile(r"[^\w+=,.@-]+", re.ASCII)


def session_name(what: str) -> str:
    """Return a name for a role's session, which CloudTrail shows (STS, ``RoleSessionName``).

    Args:
        what: Tells it from others; what such a name cannot hold becomes a dash.
    """
    return f"brokerctl-{_FOREIGN.sub('-', what)}"[:_LONGEST]


def keys_of(
    what: str,
    answer: object,
    now: Callable[[], float] = clock.now,
    wall: Callable[[], float] = time.time,
) -> Keys:
    """Return the credentials in an answer of STS, such as that of AssumeRole.

    Args:
        what: Was being done, for messages.
        answer: As botocore has read it.
        now: The time, in seconds of `brokershim.clock.now`.
        wall: The wall clock, in seconds since 1970.

    Raises:
        ServerDown: There are none in it, or they are over.
    """
    found = _part(answer, "Credentials")
    texts = [found.get(each) for each in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    expires = found.get("Expiration")
    if not all(isinstance(each, str) and each for each in texts):
        raise ServerDown(f"{what}: there are no credentials in the answer")
    if not isinstance(expires, datetime):
        raise ServerDown(f"{what}: the answer does not say when its credentials end")
    left = expires.timestamp() - _sent_at(answer, wall)
    if left <= 0:
        raise ServerDown(f"{what}: the credentials in the answer are over")
    access, secret, token = cast("list[str]", texts)
    arn = _part(answer, "AssumedRoleUser").get("Arn")
    return Keys(access, secret, token, now() + left, arn if isinstance(arn, str) else "")


def _sent_at(answer: object, wall: Callable[[], float]) -> float:
    """Return when an answer was sent, by the server's own clock where it tells: ours may be off."""
    date = _part(_part(answer, "ResponseMetadata"), "HTTPHeaders").get("date")
    try:
        return parsedate_to_datetime(str(date)).timestamp()
    except (ValueError, OverflowError):
        return wall()


def _part(answer: object, key: str) -> Mapping[str, Any]:
    found: object = cast("dict[str, object]", answer).get(key) if isinstance(answer, dict) else None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
