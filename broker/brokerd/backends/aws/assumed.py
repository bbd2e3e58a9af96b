"""What is a role's session called, and which credentials does STS answer with?"""

from __future__ import annotations

import os
import pwd
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import cast

from brokerd.backends.aws.dates import sent_at
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.reply import part, text
from brokershim import clock
from brokershim.errors import ServerDown
from brokershim.reference import is_key

_LONGEST = 64
_FOREIGN = re.compile(r"[^\w+=,.@-]+", re.ASCII)


def session_name(*what: str) -> str:
    """Return a name for a role's session, which CloudTrail shows (STS, ``RoleSessionName``).

    Args:
        what: Tells it from others; what such a name cannot hold becomes a dash.
    """
    return "-".join(["brokerctl", *(_FOREIGN.sub("-", each) for each in what)])[:_LONGEST]


def user() -> str:
    """Return the name of the user whose daemon this is; the user's number where there is none.

    (getpwuid(3); a container may know no name.)
    """
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


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
    found = part(answer, "Credentials")
    texts = [found.get(each) for each in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    expires = found.get("Expiration")
    if not all(isinstance(each, str) and is_key(each) for each in texts):
        raise ServerDown(f"{what}: there are no credentials in the answer")
    if not isinstance(expires, datetime):
        raise ServerDown(f"{what}: the answer does not say when its credentials end")
    # By the server's own clock, where it tells: ours may be off.
    sent = sent_at(part(answer, "ResponseMetadata", "HTTPHeaders").get("date"))
    left = expires.timestamp() - (wall() if sent is None else sent)
    if left <= 0:
        raise ServerDown(f"{what}: the credentials in the answer are over")
    access, secret, token = cast("list[str]", texts)
    return Keys(access, secret, token, now() + left, text(part(answer, "AssumedRoleUser"), "Arn"))
