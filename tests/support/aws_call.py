"""Which action of AWS does a request ask for, and with which parameters?"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.wrappers import Request, Response

CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        service: Such as ``secretsmanager``, as it was signed for; ``sts`` where unsigned.
        action: Such as ``GetSecretValue``; the path where none is named.
        access_key: Whose credentials signed it; empty where nobody's.
        region: The region it was signed for; empty where unsigned.
        params: Its parameters, by the names that the API has for them.
        agent: The ``User-Agent``.
    """

    service: str
    action: str
    access_key: str
    region: str
    params: dict[str, Any]
    agent: str


def call_of(request: Request, body: bytes) -> Call:
    """Return what a request asks for."""
    found = CREDENTIAL.search(request.headers.get("Authorization", ""))
    access_key, region, service = found.groups() if found else ("", "", "sts")
    action, params = _asked(request, body)
    agent = request.headers.get("User-Agent", "")
    return Call(service, action, access_key, region, params, agent)


def _asked(request: Request, body: bytes) -> tuple[str, dict[str, Any]]:
    target = request.headers.get("X-Amz-Target", "")
    if target:
        return target.rpartition(".")[2], json.loads(body or b"{}")
    if request.mimetype == _FORM:
        params: dict[str, Any] = dict(parse_qsl(body.decode()))
        return params.pop("Action", request.path), params
    return request.path, {}


def error(call: Call, code: str, message: str, status: int = 400) -> Response:
    """Return an error as the service of a call words it (AWS JSON 1.1, or AWS query)."""
    if call.service == "sts":
        return Response(
            '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
            f"<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            "<RequestId>00000000-0000-0000-0000-000000000000</RequestId></ErrorResponse>",
            status,
            mimetype="text/xml",
        )
    headers = {"x-amzn-RequestId": "00000000-0000-0000-0000-000000000000"}
    body = json.dumps({"__type": code, "message": message})
    return Response(body, status, headers, content_type="application/x-amz-json-1.1")
