"""What IAM's simulation says of our login: enough, too little, too much, or nothing at all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from unittest.mock import ANY

import pytest

from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.check import Checks
from brokerd.backends.aws.policies import Policies
from brokerd.backends.aws.reading import Reading
from brokerd.backends.aws.settings import Settings
from brokerd.backends.aws.terms import Terms, read
from brokerd.backends.people import Finding
from brokerd.table import Table
from brokershim.errors import BackendRefused, ServerDown
from tests.support.aws import ACCOUNT, REGION, Aws, role
from tests.support.aws_faults import denied
from tests.support.aws_stubbed import StubbedRoles
from tests.support.awsed import awsed

NAME, ID = "openai/dev", "prod/openai"
ARN = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{ID}-a1B2c3"
READ, DESCRIBE = "secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"
PUT = "secretsmanager:PutSecretValue"
VERSION = "0b9cbd74-2b4e-4ae9-9e0a-5b1f4a6d8e11"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/dev/brokerctl-cloud"


class World:
    """Checks, and what AWS says of each thing that they ask."""

    def __init__(self) -> None:
        self.roles = StubbedRoles()
        self.manager, self.iam = self.roles.stub("secretsmanager"), self.roles.stub("iam")

    def check(self, *terms: Terms, role: str | None = role("dev")) -> list[Finding]:
        """Return the findings."""
        self.roles.role = role
        roles, policies = cast("Roles", self.roles), Policies(REGION, scope=True)
        reading = Reading(roles, policies)
        return Checks(roles, reading, policies, terms or [_terms()]).make()

    def is_there(self) -> None:
        """Let the secret be described."""
        self.described({"ARN": ARN, "VersionIdsToStages": {VERSION: ["AWSCURRENT"]}})

    def described(self, answer: dict[str, Any]) -> None:
        """Let the secret be described so."""
        self.manager.add_response("describe_secret", answer, {"SecretId": ID})

    def simulates(self, allowed: Sequence[str], resource: str, who: str = role("dev")) -> None:
        """Let the next simulation, of that principal and resource, allow these actions."""

        def decided(action: str) -> dict[str, str]:
            decision = "allowed" if action in allowed else "implicitDeny"
            return {"EvalActionName": action, "EvalDecision": decision}

        answer = {"EvaluationResults": [decided(each) for each in {*allowed, READ, PUT}]}
        stub: Any = self.iam
        asked = {"PolicySourceArn": who, "ActionNames": ANY, "ResourceArns": [resource]}
        stub.add_response("simulate_principal_policy", answer, asked)

    def refuses(
        self, stub: Any, method: str, code: str = "AccessDenied", status: int = 403
    ) -> None:
        """Let the next call be refused."""
        stub.add_client_error(method, code, "no", status)


@pytest.fixture
def world() -> Iterator[World]:
    found = World()
    yield found
    found.roles.no_more()


def _terms(name: str = NAME, **values: Any) -> Terms:
    given = values or {"secret_id": ID}
    return read(
        Table("config.toml", f'secret."{name}"', given), name, "cloud", Settings(REGION), 900.0
    )


def test_enough_and_no_more_is_ok(world: World) -> None:
    world.is_there()
    world.simulates([READ, DESCRIBE], ARN)
    world.simulates([], "*")
    (found,) = world.check()
    assert (found.subject, found.path, found.verdict) == (NAME, ARN, "ok")
    assert (found.has, found.hint) == ((DESCRIBE, READ), "")


def test_what_lacks_is_named_with_what_to_do(world: World) -> None:
    world.is_there()
    world.simulates([DESCRIBE], ARN)
    world.simulates([], "*")
    (found,) = world.check()
    assert (found.lacks, found.verdict) == ((READ,), "lacks")
    assert f"allow {READ} on {ARN}" in found.hint


def test_what_is_too_much_is_named(world: World) -> None:
    world.is_there()
    world.simulates([READ, DESCRIBE, PUT, "secretsmanager:DeleteSecret"], ARN)
    world.simulates([READ], "*")
    found, everywhere = world.check()
    assert found.beyond == ("secretsmanager:DeleteSecret", PUT)
    assert (everywhere.subject, everywhere.path, everywhere.beyond) == ("", "*", (READ,))
    assert everywhere.verdict == "beyond"


def test_without_the_simulation_what_can_be_told_is(world: World) -> None:
    world.is_there()
    world.refuses(world.iam, "simulate_principal_policy")  # once: each is an alarm in CloudTrail
    (found,) = world.check()
    assert (found.has, found.lacks, found.beyond) == ((DESCRIBE,), (), ())
    assert "iam:SimulatePrincipalPolicy" in found.hint


def test_where_iam_cannot_be_asked_what_can_be_told_is(world: World) -> None:
    world.is_there()
    world.is_there()
    world.refuses(world.iam, "simulate_principal_policy", "InternalFailure", 500)
    made = _terms("bedrock/dev", engine="sts", role_arn=role("bedrock"))
    first, second, third = world.check(_terms(), made, _terms())
    assert (first.has, second.has, third.has) == ((DESCRIBE,), (), (DESCRIBE,))
    assert {each.hint.partition(": ")[0] for each in (first, second, third)} == {
        "nobody knows before the first lease"
    }
    assert "status 500" in first.hint
    # It may take all the time that there is.
    assert ["may do" in what for what, _ in world.roles.asked[-3:]] == [False, False, True]


def test_a_login_that_is_over_is_not_the_lack_of_iam(world: World) -> None:
    world.is_there()
    world.refuses(world.iam, "simulate_principal_policy", "ExpiredToken")
    with pytest.raises(BackendRefused, match="over"):
        world.check()


def test_a_role_that_iam_does_not_find_tells_nothing(world: World) -> None:
    """As the role of IAM Identity Center, whose path its session does not show."""
    world.roles.stub("sts").add_response("get_caller_identity", {"Arn": SESSION})
    world.is_there()
    world.refuses(world.iam, "simulate_principal_policy", "NoSuchEntity")
    (found,) = world.check(role=None)
    assert found.verdict == "ok"
    assert found.hint


@pytest.mark.parametrize(
    ("arn", "who"), [(SESSION, role("dev")), (f"arn:aws:iam::{ACCOUNT}:user/me",) * 2]
)
def test_a_session_is_asked_about_as_its_role(world: World, arn: str, who: str) -> None:
    world.roles.stub("sts").add_response("get_caller_identity", {"Arn": arn})
    world.is_there()
    world.simulates([READ, DESCRIBE], ARN, who)
    world.simulates([], "*", who)
    assert [each.verdict for each in world.check(role=None)] == ["ok"]


@pytest.mark.parametrize(
    ("code", "lacks"),
    [("AccessDeniedException", DESCRIBE), ("ResourceNotFoundException", "the key itself")],
)
def test_a_secret_that_cannot_be_seen_lacks_what_shows_it(
    world: World, code: str, lacks: str
) -> None:
    world.refuses(world.manager, "describe_secret", code)
    world.simulates([], "*")
    (found,) = world.check()
    assert (found.path, found.lacks) == (ID, (lacks,))
    assert found.hint


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ({"VersionIdsToStages": {VERSION: ["AWSPREVIOUS"]}}, "is labelled AWSCURRENT"),
        ({"DeletedDate": datetime(2026, 11, 23, tzinfo=UTC)}, "is marked for deletion"),
    ],
)
def test_a_secret_without_the_version_that_is_wanted_lacks_it(
    world: World, answer: dict[str, Any], hint: str
) -> None:
    world.described({"ARN": ARN, **answer})
    world.simulates([], "*")
    (found,) = world.check()
    assert (found.lacks, found.verdict) == (("the key itself",), "lacks")
    assert hint in found.hint


def test_what_is_no_answer_of_aws_is_told_as_that(world: World) -> None:
    world.described({})
    with pytest.raises(ServerDown, match="no ARN") as caught:
        world.check()
    assert "`endpoints`" in caught.value.hint


def test_a_login_that_is_over_is_not_the_lack_of_a_secret(world: World) -> None:
    world.refuses(world.manager, "describe_secret", "ExpiredTokenException")
    with pytest.raises(BackendRefused, match="over"):
        world.check()


def test_a_login_that_is_over_tells_nothing_of_what_it_may_do(world: World) -> None:
    world.is_there()
    world.refuses(world.iam, "simulate_principal_policy", "ExpiredToken")
    with pytest.raises(BackendRefused, match="over"):
        world.check()


def test_what_it_may_do_is_asked_as_a_session_that_may_do_none_of_it(world: World) -> None:
    world.is_there()
    for resource in (ARN, "*"):
        world.simulates([READ, DESCRIBE], resource)
    world.check()
    asked = [str(scope) for what, scope in world.roles.asked if "may do" in what]
    assert len(asked) == 2
    for scope in asked:
        (statement,) = json.loads(scope)["Statement"]
        assert statement["Action"] == ["iam:SimulatePrincipalPolicy"]


@pytest.mark.parametrize(("allowed", "verdict"), [(["sts:AssumeRole"], "ok"), ([], "lacks")])
def test_a_role_that_is_taken_on_for_leases(world: World, allowed: list[str], verdict: str) -> None:
    world.simulates(allowed, role("bedrock"))
    world.simulates([], "*")
    made = _terms("bedrock/dev", engine="sts", role_arn=role("bedrock"))
    (found,) = world.check(made)
    assert (found.subject, found.path, found.verdict) == ("bedrock/dev", role("bedrock"), verdict)


def test_nobody_reads_a_secret_for_it(world: World) -> None:
    world.is_there()
    world.simulates([READ, DESCRIBE], ARN)
    world.simulates([], "*")
    world.check()
    assert [what for what, _ in world.roles.asked if "reading" in what] == []


def test_a_role_that_is_refused_is_told_and_not_the_lack_of_a_secret(aws: Aws) -> None:
    aws.fail(denied("arn:aws:iam::1:role/hub", "sts:AssumeRole", role("dev")).on("AssumeRole"))
    with pytest.raises(BackendRefused, match="may not sts:AssumeRole"):
        awsed(aws, roles=[role("dev")]).check()
