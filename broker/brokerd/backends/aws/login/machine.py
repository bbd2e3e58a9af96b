"""What do the metadata services answer that give a machine's or a container's credentials?

They are asked by ourselves: botocore's own fetchers take a proxy from the environment, fall back to
the first version of the instance's service, and say that credentials live longer than they do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, cast

from brokerd.backends.aws.dates import sent_at
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.reply import part, text
from brokerd.lost import Lost
from brokerd.roundtrip import Answer, RoundTrip
from brokershim import clock
from brokershim.errors import BackendRefused, IdentityUnavailable, ServerDown
from brokershim.reference import is_key

_LONGEST_WORD = 1024
"""Characters: a token has 56, the name of a role up to 64."""
SECONDS = 2.0
"""How long one request may take; the service is on this machine, or it is not there at all."""


def ask(what: str, method: str, url: str, headers: Mapping[str, str], hint: str) -> Answer:
    """Return what a metadata service answers with status 200.

    Args:
        what: Is asked for, for messages.
        method: Such as ``GET``.
        url: Where.
        headers: More of them.
        hint: What to see to where there is no answer.

    Raises:
        IdentityUnavailable: Nobody answers, or there is no such thing.
        BackendRefused: It says no.
        ServerDown: It fails.
    """
    answer = RoundTrip(method, url, {"accept": "*/*", **headers}, None).make(SECONDS)
    if isinstance(answer, Lost):
        raise IdentityUnavailable(f"{what}: {answer.error.message}", hint=hint)
    if answer.status == HTTPStatus.NOT_FOUND:
        raise IdentityUnavailable(f"{what}: there is none", hint=hint)
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ServerDown(f"{what}: it fails with status {answer.status}")
    if answer.status != HTTPStatus.OK:
        raise BackendRefused(f"{what}: it is refused with status {answer.status}", hint=hint)
    return answer


def text_of(what: str, answer: Answer) -> str:
    """Return the one word that an answer is.

    Raises:
        ServerDown: It is none.
    """
    found = answer.body.decode("ascii", errors="replace").strip()
    if not is_key(found) or len(found) > _LONGEST_WORD:
        raise ServerDown(f"{what}: the answer is none of AWS")
    return found


def keys_of(
    what: str,
    answer: Answer,
    now: Callable[[], float] = clock.now,
    wall: Callable[[], float] = time.time,
) -> Keys:
    """Return the credentials in an answer (JSON).

    Args:
        what: Is asked for, for messages.
        answer: The answer.
        now: The time, in seconds of `brokershim.clock.now`.
        wall: The wall clock, in seconds since 1970.

    Raises:
        BackendRefused: The service knows of a role, and has no credentials of it.
        ServerDown: There are none in it, or they are over.
    """
    found = part(_document(answer.body))
    if found.get("Code", "Success") != "Success":
        raise BackendRefused(f"{what}: there are none", hint="see the trust policy of the role")
    texts = [found.get(each) for each in ("AccessKeyId", "SecretAccessKey", "Token")]
    if not all(isinstance(each, str) and is_key(each) for each in texts):
        raise ServerDown(f"{what}: there are none in the answer")
    access, secret, token = cast("list[str]", texts)
    sent = sent_at(answer.headers.get("date"))
    left = _expiry(what, found) - (wall() if sent is None else sent)
    if left <= 0:
        raise ServerDown(f"{what}: those in the answer are over")
    return Keys(access, secret, token, now() + left, text(found, "RoleArn"))


def _expiry(what: str, found: Mapping[str, Any]) -> float:
    try:
        expires = datetime.fromisoformat(str(found.get("Expiration")))
    except ValueError:
        expires = None
    if expires is None or expires.tzinfo is None:
        raise ServerDown(f"{what}: the answer does not say when they end")
    return expires.timestamp()


def _document(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
