"""Does a canned answer that AWS could not give fail the test that gives it?"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import aws_shapes

TOKEN = {"accessToken": "a", "tokenType": "Bearer", "expiresIn": 3600}
KEYS = {"accessKeyId": "A", "secretAccessKey": "s", "sessionToken": "t", "expiration": 1}
OF_ECS = {
    "AccessKeyId": "A",
    "SecretAccessKey": "s",
    "Token": "t",
    "Expiration": "2099-01-01T00:00:00Z",
}
LATER = ("refreshToken", "idToken")


def test_an_answer_as_it_is_passes() -> None:
    body = aws_shapes.reply("sso-oidc", "CreateToken", TOKEN, without=LATER)
    assert json.loads(body) == TOKEN


@pytest.mark.parametrize("body", [{**TOKEN, "made_up": "x"}, {**TOKEN, "expiresIn": "soon"}])
def test_a_field_made_up_or_of_another_type_fails(body: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        aws_shapes.reply("sso-oidc", "CreateToken", body, without=LATER)


def test_a_missing_field_fails_unless_it_is_left_out_knowingly() -> None:
    with pytest.raises(AssertionError, match="refreshToken"):
        aws_shapes.reply("sso-oidc", "CreateToken", TOKEN, without=["idToken"])


@pytest.mark.parametrize("keys", [{**KEYS, "made_up": "x"}, {"accessKeyId": "A"}])
def test_fields_deep_inside_count_too(keys: dict[str, Any]) -> None:
    aws_shapes.reply("sso", "GetRoleCredentials", {"roleCredentials": KEYS})
    with pytest.raises(AssertionError):
        aws_shapes.reply("sso", "GetRoleCredentials", {"roleCredentials": keys})


def test_an_error_has_a_name_and_a_status_of_the_model() -> None:
    name, fields = "AuthorizationPendingException", {"error": "authorization_pending"}
    status, headers, body = aws_shapes.failure("sso-oidc", "CreateToken", name, **fields)
    assert (status, headers, json.loads(body)) == (400, {"x-amzn-ErrorType": name}, fields)
    with pytest.raises(AssertionError, match="AuthorizationPendingException"):
        aws_shapes.failure("sso-oidc", "CreateToken", "NotReadyException")


def test_a_request_that_lacks_something_fails() -> None:
    asked = {"clientId": "c", "clientSecret": "s", "grantType": "g"}
    aws_shapes.asked("sso-oidc", "CreateToken", asked)
    del asked["clientId"]
    with pytest.raises(AssertionError, match="clientId"):
        aws_shapes.asked("sso-oidc", "CreateToken", asked)


def test_what_a_container_is_told_is_what_botocore_reads() -> None:
    assert json.loads(aws_shapes.container({**OF_ECS, "RoleArn": "arn"}))["Token"] == "t"
    with pytest.raises(AssertionError, match="SessionToken"):
        aws_shapes.container({**OF_ECS, "SessionToken": "t"})
    with pytest.raises(KeyError):
        aws_shapes.container({key: OF_ECS[key] for key in OF_ECS if key != "Token"})
