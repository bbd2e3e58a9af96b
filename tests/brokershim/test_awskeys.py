"""A value that holds credentials of AWS is read, any other is refused without being shown."""

from __future__ import annotations

import json

import pytest

from brokershim.awskeys import Keys, are_over, keys_of
from brokershim.errors import BackendUnavailable

NAME = "bedrock/dev"
KEYS = Keys("ASIAEXAMPLEEXAMPLE01", "a/secret+key/that+signs", "token//of+a/session==")
VALUE = {
    "Version": 1,
    "AccessKeyId": KEYS.access_key,
    "SecretAccessKey": KEYS.secret_key,
    "SessionToken": KEYS.token,
}


@pytest.mark.parametrize(
    "value",
    [
        "sk-no-json",
        "[]",
        "[" * 100_000,
        json.dumps({**VALUE, "SessionToken": None}),
        json.dumps({**VALUE, "SessionToken": "two\nlines"}),
        json.dumps({**VALUE, "SecretAccessKey": ""}),
        json.dumps({"AccessKeyId": "a", "SecretAccessKey": "b"}),
    ],
)
def test_value_that_holds_no_credentials(value: str) -> None:
    with pytest.raises(BackendUnavailable, match=NAME) as raised:
        keys_of(NAME, value)
    assert value not in repr(raised.value)
    frame = raised.tb.tb_next
    assert frame is not None
    assert value not in map(str, frame.tb_frame.f_locals.values())


def test_value_that_holds_them() -> None:
    found = keys_of(NAME, json.dumps(VALUE))
    assert found == KEYS
    assert KEYS.secret_key not in repr(found)


@pytest.mark.parametrize(
    ("status", "error_type", "body", "over"),
    [
        (403, b"ExpiredTokenException", b"", True),
        (403, b"UnrecognizedClientException:http://internal", b"", True),
        (400, b"", b'{"__type":"com.amazon#ExpiredTokenException"}', True),
        (403, b"", b"<Error><Code>InvalidClientTokenId</Code></Error>", True),
        (403, b"AccessDeniedException", b"ExpiredToken is not what happened", False),
        (403, b"", b'{"message": "not authorized"}', False),
        (500, b"ExpiredTokenException", b"", False),
        (200, b"", b"ExpiredToken", False),
    ],
)
def test_answer_that_means_that_credentials_are_over(
    status: int, error_type: bytes, body: bytes, over: bool
) -> None:
    assert are_over(status, error_type, body) is over
