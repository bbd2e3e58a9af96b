"""What does it mean where AWS says no?"""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest

from brokerd.backends.aws.answers import KeysOver, refusal
from brokershim.errors import (
    BackendRefused,
    BrokerError,
    ClockSkew,
    ConfigError,
    RateLimited,
    SecretDeleted,
    SecretNotFound,
    ServerDown,
)

WHO = "arn:aws:sts::123456789012:assumed-role/dev/brokerctl-cloud"
WHAT = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/openai-AbCdEf"
NOW = 1_800_000_000.0
TOKEN = "IQoJb3JpZ2luX2VjEXAMPLE0123456789abcdefgh"


def refused(code: str, said: str = "", status: int = 400, ahead: float = 0.0) -> BrokerError:
    answer: dict[str, Any] = {
        "Error": {"Code": code, "Message": said},
        "ResponseMetadata": {
            "HTTPStatusCode": status,
            "HTTPHeaders": {"date": formatdate(NOW + ahead, usegmt=True)},
        },
    }
    return refusal("reading prod/openai", answer, SecretNotFound, (TOKEN,), lambda: NOW)


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        ("ThrottlingException", "Rate exceeded", RateLimited),
        ("Throttling", "Rate exceeded", RateLimited),
        ("TooManyRequestsException", "", RateLimited),
        ("ExpiredTokenException", "The security token … is expired", KeysOver),
        ("ExpiredToken", "", KeysOver),
        ("UnrecognizedClientException", "The security token … is invalid.", KeysOver),
        ("InvalidClientTokenId", "", KeysOver),
        ("ResourceNotFoundException", "can't find the specified secret.", SecretNotFound),
        ("InvalidRequestException", "… because it was marked for deletion.", SecretDeleted),
        ("InvalidRequestException", "… is currently scheduled for deletion.", SecretDeleted),
        ("InvalidRequestException", "You can't do that.", BackendRefused),
        ("InvalidParameterException", "Invalid name.", ConfigError),
        ("ValidationError", "1 validation error detected", ConfigError),
        ("RegionDisabledException", "STS is not activated in this region", ConfigError),
        ("MalformedPolicyDocument", "Syntax errors in policy.", BackendRefused),
        ("PackedPolicyTooLarge", "", BackendRefused),
        ("InvalidIdentityToken", "No OpenIDConnect provider found", BackendRefused),
        ("IDPRejectedClaim", "", BackendRefused),
        ("IDPCommunicationError", "", ServerDown),
        ("403", "Forbidden", ServerDown),
        ("", "", ServerDown),
    ],
)
def test_each_code_is_one_of_ours(code: str, said: str, kind: type[BrokerError]) -> None:
    assert type(refused(code, said)) is kind


def test_a_status_asks_for_a_pause_whatever_the_code() -> None:
    assert type(refused("SomethingNew", status=429)) is RateLimited


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_failing_server_is_down(status: int) -> None:
    assert type(refused("InternalFailure", "oops", status)) is ServerDown
    assert type(refused("ThrottlingException", "Rate exceeded", status)) is RateLimited


def test_a_denial_says_who_may_not_do_what_and_why() -> None:
    error = refused(
        "AccessDeniedException",
        f"User: {WHO} is not authorized to perform: secretsmanager:GetSecretValue on resource: "
        f"{WHAT} because no session policy allows the secretsmanager:GetSecretValue action",
    )
    assert type(error) is BackendRefused
    assert error.details == {
        "principal": WHO,
        "action": "secretsmanager:GetSecretValue",
        "resource": WHAT,
        "why": "no session policy",
    }
    assert f"{WHO} may not secretsmanager:GetSecretValue on {WHAT}" in error.message
    assert "no session policy" in error.hint


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("because no identity-based policy allows the x:Y action", "no identity-based policy"),
        ("because no permissions boundary allows the x:Y action", "no permissions boundary"),
        ("with an explicit deny in a service control policy",) * 2,
        ("with an explicit deny", "explicit deny"),
    ],
)
def test_the_reason_of_a_denial(said: str, why: str) -> None:
    error = refused("AccessDenied", f"User: {WHO} is not authorized to perform: sts:X {said}")
    assert why.endswith(error.details["why"])
    assert "policy" in error.details["why"] or "policy" not in why


def test_a_denial_without_a_principal() -> None:
    error = refused("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)
    assert "this identity may not sts:AssumeRoleWithWebIdentity" in error.message
    assert "does its trust policy name" in error.hint


def test_what_is_asked_for_wrongly_is_looked_for_in_config_toml() -> None:
    said = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    error = refused("ValidationError", said)
    assert said in error.message
    assert "config.toml" in error.hint  # no other file is named


def test_what_cannot_be_done_there_is_not_put_down_to_a_permission() -> None:
    error = refused("InvalidRequestException", "You must configure a function for it, first.")
    assert "no permission" in error.hint


def test_a_role_is_taken_on_where_both_sides_allow_it() -> None:
    said = "is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::1:role/dev"
    error = refused("AccessDenied", f"User: {WHO} {said}", 403)
    assert "the role's trust policy" in error.hint


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("AccessDeniedException", "Access to KMS is not allowed"),
        ("AccessDeniedException", f"User: {WHO} is not authorized to perform: kms:Decrypt on …"),
        ("DecryptionFailure", "Secrets Manager can't decrypt the protected secret text"),
        ("KMSAccessDeniedException", ""),
        ("KMSInvalidStateException", "The key is pending deletion"),
    ],
)
def test_a_key_of_kms_that_may_not_be_used_is_told_apart(code: str, said: str) -> None:
    error = refused(code, said)
    assert type(error) is BackendRefused
    assert error.details["kms"] is True
    assert "kms:Decrypt" in error.hint


@pytest.mark.parametrize("ahead", [420.0, -420.0])
@pytest.mark.parametrize(
    "code", ["SignatureDoesNotMatch", "InvalidSignatureException", "RequestTimeTooSkewed"]
)
def test_a_clock_that_is_off_is_told_with_the_offset(code: str, ahead: float) -> None:
    error = refused(code, "Signature expired", 403, ahead)
    assert type(error) is ClockSkew
    assert error.details == {"skew": ahead}
    assert f"420 s {'behind' if ahead > 0 else 'ahead of'} AWS's" in error.message


def test_a_signature_that_is_wrong_on_time_shows_nothing_of_what_aws_repeats() -> None:
    said = f"The Canonical String should have been 'POST / x-amz-security-token:{TOKEN}'"
    error = refused("SignatureDoesNotMatch", said, 403)
    assert type(error) is KeysOver
    assert TOKEN not in error.message + error.hint + str(error.details)
    assert "Canonical" not in error.message


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidSignatureException"])
def test_another_region_is_told(code: str) -> None:
    error = refused(code, "Credential should be scoped to a valid region, not 'eu-centrl-1'.")
    assert type(error) is ConfigError
    assert "region" in error.message


@pytest.mark.parametrize("code", ["MalformedPolicyDocument", "PackedPolicyTooLarge"])
def test_a_session_policy_that_aws_does_not_take_is_named(code: str) -> None:
    assert "`policy`" in refused(code, "exceeds").hint


def test_words_are_shown_without_what_was_sent() -> None:
    error = refused("InvalidIdentityToken", f"The token {TOKEN} is bad; eyJhbGciOiJSUzI1NiJ9.e30.x")
    assert TOKEN not in error.message
    assert "eyJ" not in error.message
    assert "trust policy" in error.hint


def test_what_was_sent_is_hidden_whatever_its_shape() -> None:
    answer = {"Error": {"Code": "InvalidIdentityToken", "Message": "correct-horse is bad"}}
    error = refusal("reading", answer, SecretNotFound, ("correct-horse",))
    assert "correct-horse" not in error.message
    assert "is bad" in error.message


def test_what_was_sent_is_hidden_in_names_too_and_no_name_is_without_end() -> None:
    error = refused(
        "AccessDenied",
        f"User: arn:aws:sts::1:{TOKEN} is not authorized to perform: sts:X on resource: {TOKEN}",
    )
    assert TOKEN not in f"{error.message} {error.details}"
    assert "may not sts:X" in error.message
    error = refused("AccessDenied", f"User: arn:aws:{'x' * 100_000} is not authorized to perform")
    assert len(error.message) < 5000


def test_a_time_that_is_refused_without_a_date_is_still_the_clock() -> None:
    answer = {"Error": {"Code": "RequestExpired", "Message": ""}, "ResponseMetadata": {}}
    assert type(refusal("reading", answer, SecretNotFound)) is ClockSkew


@pytest.mark.parametrize("answer", [{}, {"Error": "x"}, {"Error": {}, "ResponseMetadata": None}])
def test_an_answer_without_an_error_is_none_of_aws(answer: dict[str, Any]) -> None:
    assert type(refusal("reading", answer, SecretNotFound)) is ServerDown
