"""A signature that is made anew is the one that AWS documents, and that botocore makes."""

from __future__ import annotations

import hashlib
import importlib
import io
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from brokershim.awskeys import Keys
from brokershim.delivery import Headers
from brokershim.errors import UsageError
from brokershim.reference import reference
from brokershim.sigv4 import Message, payload_of, signature_of, signed

_auth: Any = importlib.import_module("botocore.auth")  # it carries no types
AWSRequest: Any = importlib.import_module("botocore.awsrequest").AWSRequest
Credentials: Any = importlib.import_module("botocore.credentials").Credentials

NAME = "bedrock/dev"
KEYS = Keys("ASIAEXAMPLEEXAMPLE01", "a/secret+key/that+signs", "token//of+a/session==")
REGION, SERVICE = "eu-central-1", "bedrock"
HOST = "bedrock-runtime.eu-central-1.amazonaws.com"

DOCUMENTED_TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfI"
    "eoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0"
    "wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDry"
    "pNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)


def made(
    credentials: Any, url: str, kind: Any = _auth.SigV4Auth, service: str = SERVICE, **more: Any
) -> Any:
    """Return a request as botocore signs it."""
    request = AWSRequest(method=more.pop("method", "POST"), url=url, **more)
    kind(credentials, service, REGION).add_auth(request)
    return request


def headers_of(request: Any) -> Headers:
    return [(name.encode(), value.encode()) for name, value in request.headers.items()]


def anew(headers: Headers, url: str, body: Any, method: str = "POST") -> dict[str, str]:
    """Return a request's headers, signed anew."""
    (signature,) = filter(None, (signature_of(*each) for each in headers))
    assert signature.secret == NAME
    parts = urlsplit(url)
    message = Message(
        method,
        parts.path,
        parts.query.encode(),
        parts.netloc.encode(),
        headers,
        payload_of(headers, body),
    )
    return {
        name.decode().lower(): value.decode() for name, value in signed(message, signature, KEYS)
    }


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/", {}),
        ("", {}),
        ("/model/anthropic.claude-3-haiku-20240307-v1:0/converse", {"data": b'{"a": 1}'}),
        ("/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse", {"data": b'{"a": 1}'}),
        ("/model/arn%3Aaws%3Abedrock%3Aeu%3A1%3Ax%2Fy/invoke", {"data": "text"}),
        ("/a//b/./c/../d/", {}),
        ("/a/b/..", {}),
        ("/?b=2&a=1&a=0&empty=&none", {"method": "GET"}),
        ("/?q=%C3%A9%20&z=-_.~", {"method": "GET"}),
        ("/", {"headers": {"X-Much": "  many   spaces  ", "Content-Type": "a/b"}}),
        ("/", {"headers": {"Host": "other.amazonaws.com"}}),
    ],
)
def test_botocore_signs_alike(path: str, more: dict[str, Any], monkeypatch: Any) -> None:
    _same_time(monkeypatch)
    url = f"https://{HOST}{path}"
    real = made(Credentials(*KEYS), url, **more)
    mine = made(Credentials(reference(NAME), reference(NAME), reference(NAME)), url, **more)
    found = anew(headers_of(mine), url, more.get("data"), more.get("method", "POST"))
    expected = {name.lower(): value for name, value in real.headers.items()}
    assert found == expected


def _same_time(monkeypatch: Any) -> None:
    at = datetime(2026, 11, 23, 12, tzinfo=UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: at)


def test_path_of_s3_is_signed_as_it_is(monkeypatch: Any) -> None:
    _same_time(monkeypatch)
    url = "https://bucket.s3.amazonaws.com/a//b/../c%20d"
    ours = Credentials(reference(NAME), reference(NAME))
    real = made(Credentials(*KEYS), url, _auth.S3SigV4Auth, "s3", data=b"x")
    mine = made(ours, url, _auth.S3SigV4Auth, "s3", data=b"x")
    found = anew(headers_of(mine), url, b"not looked at: the app says what is signed")
    assert found["authorization"] == real.headers["Authorization"]


def test_signature_is_the_documented_one() -> None:
    """As in AWS's own test suite for Signature Version 4, "post-sts-header-before"."""
    scope = "20150830/us-east-1/service/aws4_request"
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={reference(NAME)}/{scope}, "
        "SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=00"
    )
    headers = [(b"X-Amz-Date", b"20150830T123600Z"), (b"Authorization", authorization.encode())]
    signature = signature_of(*headers[1])
    assert signature is not None
    message = Message("POST", "/", b"", b"example.amazonaws.com", headers, payload_of([], None))
    secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    keys = Keys("AKIDEXAMPLE", secret, DOCUMENTED_TOKEN)
    found = dict(signed(message, signature, keys))
    assert (
        found[b"Authorization"]
        .decode()
        .endswith(
            "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            "SignedHeaders=host;x-amz-date;x-amz-security-token, "
            "Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
        )
    )
    assert found[b"X-Amz-Security-Token"].decode() == DOCUMENTED_TOKEN


def test_session_token_goes_along_where_the_app_had_none_or_another() -> None:
    url = f"https://{HOST}/"
    for credentials in (
        Credentials(reference(NAME), "x"),
        Credentials(reference(NAME), "x", "a-stale-token"),
    ):
        found = anew(headers_of(made(credentials, url)), url, None)
        assert found["x-amz-security-token"] == KEYS.token
        assert ";x-amz-security-token, " in found["authorization"]


def test_host_is_signed_whatever_the_app_signed() -> None:
    """Without it, whoever gets the request could send it on to another host."""
    headers = headers_of(made(Credentials(reference(NAME), "x"), f"https://{HOST}/"))
    loose = [(name, value.replace(b"=host;", b"=")) for name, value in headers]
    assert loose != headers
    one, other = (anew(loose, f"https://{each}/", None)["authorization"] for each in (HOST, "a.b"))
    assert "SignedHeaders=host;" in one
    assert one != other


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (b"X-Authorization", b"AWS4-HMAC-SHA256 Credential=brokerref:a/20261123/r/s/aws4_request"),
        (b"Authorization", b"Bearer brokerref:bedrock/dev"),
        (b"Authorization", b"AWS brokerref:bedrock/dev:c2lnbmF0dXJl"),
        (b"Authorization", b"AWS4-HMAC-SHA256 Credential=AKIAREAL/20261123/r/s/aws4_request, "
                           b"SignedHeaders=host, Signature=00"),
    ],
)  # fmt: skip
def test_what_is_no_signature_with_a_reference(header: bytes, value: bytes) -> None:
    assert signature_of(header, value) is None


def test_what_is_signed_and_not_sent_is_refused() -> None:
    url = f"https://{HOST}/"
    headers = headers_of(made(Credentials(reference(NAME), "x"), url, headers={"X-Mine": "1"}))
    without = [each for each in headers if each[0] != b"X-Mine"]
    with pytest.raises(UsageError, match="x-mine"):
        anew(without, url, None)
    with pytest.raises(UsageError, match="X-Amz-Date"):
        anew([each for each in headers if each[0] != b"X-Amz-Date"], url, None)


def test_body() -> None:
    file = io.BytesIO(b"before the body")
    file.seek(7)
    assert payload_of([], file) == hashlib.sha256(b"the body").hexdigest()
    assert file.tell() == 7
    assert payload_of([], "é") == hashlib.sha256("é".encode()).hexdigest()
    assert payload_of([(b"X-Amz-Content-SHA256", b"UNSIGNED-PAYLOAD")], b"x") == "UNSIGNED-PAYLOAD"
    with pytest.raises(UsageError, match="only once"):
        payload_of([], iter([b"x"]))
