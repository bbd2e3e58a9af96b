"""Which credentials did the server give out, and what may each of them still do?

moto takes any, for anything, for ever. A session policy bounds what a session may do, and a token
that has expired does nothing ("Session policies" of the IAM guide).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from werkzeug.wrappers import Response

from tests.support import aws_mending
from tests.support.aws_call import Call, error
from tests.support.aws_faults import EXPIRED

_ACCESS_KEY = re.compile(rb"<AccessKeyId>(\w+)</AccessKeyId>")
_ARN = re.compile(rb"<Arn>([^<]+)</Arn>")


@dataclass
class _Issued:
    arn: str
    policy: str | None
    expired: bool = False


class Sessions:
    """The credentials of every role that was taken on."""

    def __init__(self) -> None:
        self._issued: dict[str, _Issued] = {}

    def remember(self, call: Call, answer: Response) -> None:
        """Keep what a call of STS gave out."""
        body = answer.get_data()
        found, whose = _ACCESS_KEY.search(body), _ARN.search(body)
        if call.service == "sts" and found and whose:
            policy = call.params.get("Policy")
            self._issued[found[1].decode()] = _Issued(whose[1].decode(), policy)

    def expire(self) -> None:
        """End all that were given out so far."""
        for issued in self._issued.values():
            issued.expired = True

    def refusal(self, call: Call) -> Response | None:
        """Return the error for a call whose credentials do not allow it."""
        issued = self._issued.get(call.access_key)
        if issued is None:
            return None
        if issued.expired:
            code = "ExpiredToken" if call.service == "sts" else EXPIRED.code
            return error(call, code, EXPIRED.message, 403 if call.service == "sts" else 400)
        for resource in _resources(call):
            action = f"{call.service}:{call.action}"
            if issued.policy and not _allows(json.loads(issued.policy), action, resource):
                message = (
                    f"User: {issued.arn} is not authorized to perform: {action} on resource: "
                    f"{resource} because no session policy allows the {action} action"
                )
                return error(call, "AccessDeniedException", message)
        return None


def _resources(call: Call) -> list[str]:
    """Return the ARN that a call is about; ``*`` where it is about none."""
    name = call.params.get("SecretId")
    return [aws_mending.arn(call.region, str(name)) if name else call.params.get("RoleArn", "*")]


def _allows(policy: dict[str, Any], action: str, resource: str) -> bool:
    statements = policy["Statement"]
    return any(
        each["Effect"] == "Allow"
        and any(fnmatchcase(action, pattern) for pattern in _listed(each["Action"]))
        and any(fnmatchcase(resource, pattern) for pattern in _listed(each["Resource"]))
        for each in (statements if isinstance(statements, list) else [statements])
    )


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
