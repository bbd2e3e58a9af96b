"""An AWS in this process, whose time a test passes, and what goes wrong at each request.

It stands where the connection would: botocore signs, reads and tries again as always, and all of
ours above it is the real thing. Each wait of botocore, or of ours, moves the time on.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from functools import partial
from http.client import HTTPMessage
from types import SimpleNamespace
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl

from brokerd.backends.aws.pace import Pace
from brokerd.lost import Lost
from brokerd.roundtrip import Answer
from brokershim.errors import BackendTimeout, ServerDown
from tests.support.aws_call import CREDENTIAL

FAULTS = (
    "throttled", "expired", "internal", "busy", "denied", "html", "cut", "drop", "unheard", "hang",
    "slow 5", "slow 14", "refused",
)  # fmt: skip
"""What can become of a request: ``unheard`` is done, and its answer lost; ``refused`` is not."""
_EPOCH = 1_800_000_000.0
_SHAPES = {
    "throttled": (400, "ThrottlingException"),
    "expired": (400, "ExpiredTokenException"),
    "internal": (500, "InternalServiceError"),
    "busy": (503, "ServiceUnavailable"),
    "denied": (400, "AccessDeniedException"),
}
_STS = (
    "<{0}Response><{0}Result><Credentials><AccessKeyId>{1}</AccessKeyId><SecretAccessKey>s"
    "</SecretAccessKey><SessionToken>t</SessionToken><Expiration>{2}</Expiration></Credentials>"
    "<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>i:s</AssumedRoleId>"
    "</AssumedRoleUser></{0}Result></{0}Response>"
)


@dataclass
class Memory:
    """The server, and the clock that all read.

    Attributes:
        faults: What becomes of the next requests, in order; None and past the end: an answer.
        now: The time, in seconds of `brokershim.clock.now`.
        sessions: When each session that it gave out ends, by access key.
        ended: Those that it ended before their time.
        foreign: Those of a login that is over.
        key: The value that is AWSCURRENT.
        pending: The value that a rotation is making; None while there is none.
        requests: How many came.
        dead: What requests were signed with though it was over, by the clock or with its login.
    """

    faults: list[str | None] = field(default_factory=list[str | None])
    now: float = 1000.0
    sessions: dict[str, float] = field(default_factory=dict[str, float])
    ended: set[str] = field(default_factory=set[str])
    foreign: set[str] = field(default_factory=set[str])
    number: int = 1
    pending: bool = False
    requests: int = 0
    dead: list[str] = field(default_factory=list[str])

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def key(self) -> str:
        return f"sk-number-{self.number}"

    def version(self, number: int | None = None) -> str:
        """Return the id of a version; of the current one if none is named."""
        return f"{self.number if number is None else number:032d}"

    def make(self, trip: SimpleNamespace, left: float) -> Answer | Lost:
        """Do what comes of one request (`brokerd.roundtrip.RoundTrip.make`)."""
        self.requests += 1
        fault = self.faults.pop(0) if self.faults else None
        if fault == "refused":
            return Lost(ServerDown("aws cannot be reached"), sent=False)
        if fault == "drop":
            return Lost(ServerDown("aws breaks off"), sent=True)
        takes = 3600.0 if fault == "hang" else float((fault or "").partition(" ")[2] or 0.01)
        if takes >= left:
            self.now += left
            return Lost(BackendTimeout("aws does not answer"), sent=True)
        self.now += takes
        answer = self._answer(trip, fault)
        return Lost(ServerDown("aws breaks off"), sent=True) if fault == "unheard" else answer

    def _answer(self, trip: SimpleNamespace, fault: str | None) -> Answer:
        if fault == "html":
            return self._said(200, b"<html>please log in</html>")
        signed = CREDENTIAL.search(trip.headers.get("authorization", ""))
        query = "x-amz-target" not in trip.headers
        if fault in _SHAPES:
            return self._failed(query, *_SHAPES[fault])
        if signed and (signed[1] in self.foreign or self.sessions[signed[1]] <= self.now):
            self.dead.append(signed[1])
        if signed and (signed[1] in self.ended or self.sessions[signed[1]] <= self.now):
            return self._failed(query, 400, "ExpiredTokenException")
        body = self._of_sts(trip.body) if query else self._of_secrets(trip)
        return self._said(200, body[: len(body) // 2] if fault == "cut" else body)

    def _of_sts(self, body: bytes) -> bytes:
        asked = dict(parse_qsl(body.decode()))
        name = f"ASIA{len(self.sessions):016d}"
        self.sessions[name] = ends = self.now + float(asked["DurationSeconds"])
        stamp = datetime.fromtimestamp(_EPOCH + ends, UTC).isoformat()
        return _STS.format(asked["Action"], name, stamp).encode()

    def _of_secrets(self, trip: SimpleNamespace) -> bytes:
        asked, action = json.loads(trip.body), trip.headers["x-amz-target"].partition(".")[2]
        return json.dumps(getattr(self, f"_{action}")(asked)).encode()

    def _GetSecretValue(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        version = asked.get("VersionId", self.version())
        stages = ["AWSCURRENT"] if version == self.version() else ["AWSPREVIOUS"]
        told = {"Name": asked["SecretId"], "VersionId": version, "VersionStages": stages}
        return {**told, "SecretString": f"sk-number-{int(version)}"}

    def _DescribeSecret(self, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        del asked
        stages = {self.version(): ["AWSCURRENT"], self.version(self.number - 1): ["AWSPREVIOUS"]}
        if self.pending:
            stages[self.version(self.number + 1)] = ["AWSPENDING"]
        return {"Name": "s", "RotationEnabled": True, "VersionIdsToStages": stages}

    def _failed(self, query: bool, status: int, code: str) -> Answer:
        if query:
            body = f"<ErrorResponse><Error><Code>{code}</Code></Error></ErrorResponse>"
        else:
            body = json.dumps({"__type": code, "message": "no"})
        return self._said(status, body.encode())

    def _said(self, status: int, body: bytes) -> Answer:
        headers = HTTPMessage()
        headers["date"] = formatdate(_EPOCH + self.now, usegmt=True)
        return Answer(status, headers, body)


@contextmanager
def in_memory(memory: Memory) -> Generator[None]:
    """Let all requests to AWS go there, and all waiting be on its clock."""
    time = SimpleNamespace(monotonic=memory.clock, sleep=memory.sleep, time=memory.clock)
    with ExitStack() as stack:
        for each in ("brokerd.backends.aws.transport", "brokerd.backends.aws.batch"):
            stack.enter_context(mock.patch(f"{each}.time", time))
        stack.enter_context(mock.patch("botocore.endpoint.time", time))
        pace = partial(Pace, memory.sleep, memory.clock)
        stack.enter_context(mock.patch("brokerd.backends.aws.clients.Pace", pace))
        stack.enter_context(mock.patch("brokerd.backends.aws.transport.RoundTrip", _trips(memory)))
        yield


def _trips(memory: Memory) -> Any:
    def trip(method: str, url: str, headers: Any, body: Any, *limits: object) -> Any:
        del method, url, limits
        asked = SimpleNamespace(headers=headers, body=body)
        return SimpleNamespace(make=partial(memory.make, asked))

    return trip
