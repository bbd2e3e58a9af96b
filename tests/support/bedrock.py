"""A Bedrock on loopback, which verifies each signature, and says why it takes none.

It signs what arrived once more with botocore's own signer, as the credentials say that it gave out.
Like AWS, it repeats a request with a wrong signature, session token and all.
"""

from __future__ import annotations

import hmac
import importlib
import json
import re
import secrets
import struct
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from tests.support.fakebroker import Entry
from tests.support.provider import Answer, Asked, Provider

NAME, MODEL, HELLO = "bedrock/dev", "anthropic.claude-3-haiku-20240307-v1:0", "hello there"
REGION = "eu-central-1"
_SIGNED = re.compile(
    "AWS4-HMAC-SHA256 Credential=(?P<id>[^/]+)/(?P<day>[0-9]{8})/(?P<region>[^/]+)/"
    "(?P<service>[^/]+)/aws4_request, SignedHeaders=(?P<headers>[^,]+), "
    "Signature=(?P<made>[0-9a-f]+)"
)
_auth: Any = importlib.import_module("botocore.auth")  # it carries no types
_request: Any = importlib.import_module("botocore.awsrequest")
_credentials: Any = importlib.import_module("botocore.credentials")
_USAGE = {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}
_TEXT = [{"text": HELLO}]
_CONVERSED = {
    "output": {"message": {"role": "assistant", "content": _TEXT}},
    "stopReason": "end_turn",
    "usage": _USAGE,
    "metrics": {"latencyMs": 1},
}
_INVOKED = {
    "id": "m", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": HELLO}], "usage": {"input_tokens": 1, "output_tokens": 2},
}  # fmt: skip
_EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("messageStart", {"role": "assistant"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": HELLO[:5]}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": HELLO[5:]}}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("messageStop", {"stopReason": "end_turn"}),
    ("metadata", {"usage": _USAGE, "metrics": {"latencyMs": 1}}),
]


class Triple(NamedTuple):
    """Credentials that it knows."""

    access_key: str
    secret_key: str
    token: str

    def entry(self, **more: Any) -> Entry:
        """Return them as the secret of a fake daemon."""
        value = {
            "Version": 1,
            "AccessKeyId": self.access_key,
            "SecretAccessKey": self.secret_key,
            "SessionToken": self.token,
            "Expiration": "2026-11-23T15:00:00Z",
        }
        return Entry(json.dumps(value, separators=(",", ":")), signs=True, **more)


ONE = Triple("ASIAONEONEONEONEONE1", "secret/of+one", "token//of+one==")
TWO = Triple("ASIATWOTWOTWOTWOTWO2", "secret/of+two", "token//of+two==")


class Bedrock:
    """What its provider replies.

    Attributes:
        known: The credentials that it takes, by access key.
        over: Access keys whose time is over.
        denies: Whether those that it takes may do nothing.
        status: Of its refusals; some services of AWS have 400 for all of them.
        verified: Access keys of the requests whose signature was right, in order.
    """

    def __init__(self, *known: Triple) -> None:
        self.known = {each.access_key: each for each in known}
        self.over: set[str] = set()
        self.denies, self.status = False, 403
        self.verified: list[str] = []

    def provider(self) -> Provider:
        """Return the server."""
        return Provider(self)

    def __call__(self, asked: Asked) -> Answer:
        headers = {name.lower(): value for name, value in asked.headers.items()}
        found = _SIGNED.fullmatch(headers.get("authorization", ""))
        triple = self.known.get(found["id"]) if found else None
        if found is None or triple is None:
            return self._error("UnrecognizedClientException", "The security token is invalid.")
        if not self._is_right(asked, headers, found, triple):
            return self._error("InvalidSignatureException", f"The signature differs: {headers}")
        self.verified.append(triple.access_key)
        if triple.access_key in self.over:
            return self._error("ExpiredTokenException", f"The token {triple.token} is expired")
        if self.denies:
            return self._error("AccessDeniedException", "You may not invoke this model")
        return _answer(asked.target)

    def _error(self, code: str, message: str) -> Answer:
        headers = (("content-type", "application/json"), ("x-amzn-errortype", f"{code}:http://x"))
        return Answer(self.status, json.dumps({"message": message}).encode(), headers)

    def _is_right(
        self, asked: Asked, headers: dict[str, str], found: re.Match[str], triple: Triple
    ) -> bool:
        names = found["headers"].split(";")
        if headers.get("x-amz-security-token") != triple.token or "host" not in names:
            return False
        request = _request.AWSRequest(
            asked.method,
            f"http://{headers['host']}{asked.target}",
            {name: headers.get(name, "").encode("latin-1").decode() for name in names},
            asked.body,
        )
        request.context["timestamp"] = headers["x-amz-date"]
        keys = _credentials.Credentials(*triple)
        signer = _auth.SigV4Auth(keys, found["service"], found["region"])
        text = signer.string_to_sign(request, signer.canonical_request(request))
        return hmac.compare_digest(signer.signature(text, request), found["made"])


def _answer(target: str) -> Answer:
    path = target.partition("?")[0]
    if path.endswith("/converse-stream"):
        parts = [_event(kind, body) for kind, body in _EVENTS]
        return Answer(200, parts, (("content-type", "application/vnd.amazon.eventstream"),))
    return Answer(200, json.dumps(_INVOKED if path.endswith("/invoke") else _CONVERSED).encode())


def _event(kind: str, body: dict[str, Any]) -> bytes:
    """Return one message of an event stream (Smithy, "Amazon Event Stream specification")."""
    named = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", 7, len(text))
        + text.encode()
        for name, text in named.items()
    )  # fmt: skip
    payload = json.dumps(body).encode()
    prelude = struct.pack(">II", len(headers) + len(payload) + 16, len(headers))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


class Cloud(Bedrock):
    """A Bedrock, and the STS that makes credentials for it: each holds a canary in every part.

    Attributes:
        made: What STS made, in order; the first are those of the login.
        roles: The parameters of each role that was taken on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.made: list[Triple] = []
        self.roles: list[dict[str, str]] = []

    def __call__(self, asked: Asked) -> Answer:
        if asked.target != "/":
            return super().__call__(asked)
        params = dict(parse_qsl(asked.body.decode()))
        self.roles.append(params)
        canary = secrets.token_hex(16)
        triple = Triple(f"ASIA{canary}", f"canary{canary}+/=", f"canary//{canary}+token==")
        self.made.append(triple)
        self.known[triple.access_key] = triple
        return Answer(200, _assumed(params, triple), (("content-type", "text/xml"),))


def _assumed(params: dict[str, str], triple: Triple) -> bytes:
    """Return what STS answers (STS API Reference, "AssumeRole")."""
    action, seconds = params["Action"], int(params["DurationSeconds"])
    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    return (
        f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
        f"<Credentials><AccessKeyId>{triple.access_key}</AccessKeyId>"
        f"<SecretAccessKey>{triple.secret_key}</SecretAccessKey>"
        f"<SessionToken>{triple.token}</SessionToken>"
        f"<Expiration>{ends:%Y-%m-%dT%H:%M:%SZ}</Expiration></Credentials>"
        "<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/r/s</Arn><AssumedRoleId>i:s"
        f"</AssumedRoleId></AssumedRoleUser></{action}Result></{action}Response>"
    ).encode()
