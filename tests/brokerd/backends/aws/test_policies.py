"""A session may do what its one request needs, and nothing besides."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest

from brokerd.backends.aws.policies import Policies
from brokerd.backends.aws.terms import MAX_POLICY

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/openai-a1B2c3"
POLICIES = Policies("eu-central-1", scope=True)


def _statements(policy: str | None) -> list[dict[str, Any]]:
    assert policy is not None
    found: list[dict[str, Any]] = json.loads(policy)["Statement"]
    assert all(each["Effect"] == "Allow" for each in found)
    return found


def _resources(policy: str | None, action: str) -> list[str]:
    found = [each["Resource"] for each in _statements(policy) if action in each["Action"]]
    assert len(found) == 1
    return [found[0]] if isinstance(found[0], str) else found[0]


@pytest.mark.parametrize("secret_id", [ARN, "prod/openai"])
def test_a_secret_is_named_alone(secret_id: str) -> None:
    (resource,) = _resources(POLICIES.reading([secret_id]), "secretsmanager:GetSecretValue")
    assert fnmatchcase(ARN, resource)
    for other in ("prod/openai2-a1B2c3", "prod/openai-x-a1B2c3", "prod-a1B2c3"):
        assert not fnmatchcase(ARN.replace("prod/openai-a1B2c3", other), resource)
    assert not fnmatchcase(ARN.replace("eu-central-1", "us-east-1"), resource)


def test_reading_one_is_no_more_than_that() -> None:
    actions = [action for each in _statements(POLICIES.reading([ARN])) for action in each["Action"]]
    assert sorted(actions) == [
        "kms:Decrypt",
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetSecretValue",
    ]


def test_a_key_of_kms_is_used_through_secrets_manager_only() -> None:
    (kms,) = [each for each in _statements(POLICIES.reading([ARN])) if "kms" in each["Action"][0]]
    assert kms["Condition"] == {"StringLike": {"kms:ViaService": "secretsmanager.eu-central-1.*"}}


def test_several_may_come_in_a_batch() -> None:
    policy = POLICIES.reading([ARN, "other"])
    assert _resources(policy, "secretsmanager:BatchGetSecretValue") == ["*"]
    assert len(_resources(policy, "secretsmanager:GetSecretValue")) == 2


def test_who_comes_first_in_a_batch_makes_no_other_session() -> None:
    assert POLICIES.reading(["b/b", "a/a"]) == POLICIES.reading(["a/a", "b/b"])


def test_rotating_lets_nobody_read() -> None:
    policy = POLICIES.rotating(ARN, "arn:aws:lambda:eu-central-1:1:function:rotate")
    assert _resources(policy, "secretsmanager:RotateSecret") == [ARN]
    assert _resources(policy, "lambda:InvokeFunction") == [
        "arn:aws:lambda:eu-central-1:1:function:rotate"
    ]
    assert "GetSecretValue" not in str(policy)
    assert "lambda" not in str(POLICIES.rotating(ARN, None))


def test_what_is_asked_of_iam_lets_nobody_do_it() -> None:
    (only,) = _statements(POLICIES.checking())
    assert only["Action"] == ["iam:SimulatePrincipalPolicy"]


def test_no_policy_is_longer_than_aws_takes() -> None:
    ids = [ARN.replace("openai", f"openai-{'x' * 40}-{n:02}") for n in range(20)]
    fitting = next(n for n in range(20, 0, -1) if POLICIES.fit(ids[:n]))
    assert 1 < fitting < 20
    assert len(str(POLICIES.reading(ids[:fitting]))) <= MAX_POLICY
    assert len(str(POLICIES.reading(ids[: fitting + 1]))) > MAX_POLICY


def test_a_login_that_takes_on_no_role_is_not_narrowed() -> None:
    whole = Policies("eu-central-1", scope=False)
    found = [whole.reading([ARN]), whole.rotating(ARN, None), whole.checking(), whole.assuming(ARN)]
    assert found == [None] * 4
    assert whole.fit([ARN] * 100)
