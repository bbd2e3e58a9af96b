"""Whatever a batch answers, in whatever order: no secret is taken for another."""

from __future__ import annotations

from itertools import permutations
from typing import Any, cast

import pytest

from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.policies import Policies
from brokerd.backends.aws.reading import Reading
from tests.support.aws import REGION
from tests.support.aws_stubbed import StubbedRoles

NAME = "prod/openai"
OURS, THEIRS = (
    f"arn:aws:secretsmanager:{REGION}:{account * 12}:secret:{NAME}-a1B2c3" for account in "19"
)
OF_OURS: dict[str, Any] = {"ARN": OURS, "Name": NAME, "SecretString": "ours"}
OF_THEIRS: dict[str, Any] = {"ARN": THEIRS, "Name": NAME, "SecretString": "theirs"}
REFUSED: dict[str, Any] = {"SecretId": NAME, "ErrorCode": "AccessDeniedException", "Message": "no"}
OTHER: dict[str, Any] = {"ARN": THEIRS.replace(NAME, "x"), "Name": "x", "SecretString": "x"}


@pytest.mark.parametrize(
    ("values", "errors", "told"),
    [
        ([OF_OURS, OF_THEIRS], [], {NAME: "ours", THEIRS: "theirs"}),
        ([OF_THEIRS], [], {THEIRS: "theirs"}),
        ([OF_THEIRS], [REFUSED], {NAME: "AccessDeniedException", THEIRS: "theirs"}),
        ([OF_OURS], [REFUSED], {}),
        ([OF_OURS, {**OF_OURS, "SecretString": "older"}, OTHER], [], {}),
        ([OTHER], [], {}),
    ],
)
def test_a_batch_tells_of_each_secret_what_is_its_own(
    values: list[dict[str, Any]], errors: list[dict[str, Any]], told: dict[str, str]
) -> None:
    for order in permutations(values):
        roles = StubbedRoles()
        answer = {"SecretValues": list(order), "Errors": errors}
        roles.stub("secretsmanager").add_response("batch_get_secret_value", answer)
        found = Reading(cast("Roles", roles), Policies(REGION, scope=True))._several([NAME, THEIRS])
        assert {
            each: entry.get("SecretString") or entry["ErrorCode"] for each, entry in found.items()
        } == told
