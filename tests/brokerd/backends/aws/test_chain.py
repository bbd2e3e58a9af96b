"""Whose credentials is AWS asked with, after which roles, and when are they taken anew?"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from brokerd.backends.aws.answers import KeysOver
from brokerd.backends.aws.assumed import user
from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.login.base import Keys
from brokershim.errors import BackendRefused, SecretNotFound
from tests.support import aws_faults
from tests.support.aws import ADMIN, Aws, role
from tests.support.aws_asking import Clock, clients

A, B, C = role("a"), role("b"), role("team/c")
POLICY = json.dumps({"Version": "2012-10-17", "Statement": []})
pytestmark = pytest.mark.usefixtures("no_pauses")


@dataclass
class Login:
    """Is logged in as an administrator, with credentials that die.

    Attributes:
        times: How often it was asked.
    """

    clock: Clock
    kind: str = "test"
    login: int = 1
    times: int = 0

    def revision(self) -> int:
        return self.login

    def keys(self) -> Keys:
        self.times += 1
        return Keys(*ADMIN, None, self.clock() + 3600.0)


@dataclass
class ScopingLogin(Login):
    """One that takes on a role itself.

    Attributes:
        policies: What it was narrowed by.
    """

    policies: list[str] = field(default_factory=list[str])
    role_arn: str = C

    def scoped(self, policy: str) -> Keys:
        self.policies.append(policy)
        return Keys("ASIASCOPED", "secret", "token", self.clock() + 3600.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def login(clock: Clock) -> Login:
    return Login(clock)


def chain(aws: Aws, login: Login, *roles: str, **settings: Any) -> Roles:
    asking = clients(aws, roles=roles, **settings)
    return Roles(login, asking, login.clock)


def taken(aws: Aws) -> list[dict[str, Any]]:
    """Return what roles were taken on with, and by whom."""
    called = aws.calls("AssumeRole")
    return [{"by": each["access_key"], **each["params"]} for each in called]


def test_without_roles_it_is_the_login(aws: Aws, login: Login) -> None:
    roles = chain(aws, login)
    assert roles.keys().access_key == ADMIN[0]
    assert roles.keys(POLICY).access_key == ADMIN[0]
    assert taken(aws) == []


def test_a_login_that_takes_on_a_role_narrows_it_itself(aws: Aws, clock: Clock) -> None:
    login = ScopingLogin(clock)
    roles = chain(aws, login)
    assert roles.keys(POLICY).access_key == roles.keys(POLICY).access_key == "ASIASCOPED"
    assert roles.keys().access_key == ADMIN[0]
    assert login.policies == [POLICY]


def test_roles_are_taken_on_one_with_the_other(aws: Aws, login: Login) -> None:
    roles = chain(aws, login, A, B, external_id="team:42", source_identity="jo", duration=1800.0)
    found = roles.keys(POLICY)
    first, second = taken(aws)
    assert (first["by"], first["RoleArn"], first["SourceIdentity"]) == (ADMIN[0], A, "jo")
    assert "ExternalId" not in first
    assert "Policy" not in first
    assert (second["RoleArn"], second["ExternalId"], second["Policy"]) == (B, "team:42", POLICY)
    assert second["by"].startswith("ASIA")
    assert second["by"] != first["by"]
    assert "SourceIdentity" not in second  # it stays on by itself
    assert {each["RoleSessionName"] for each in (first, second)} == {f"brokerctl-cloud-{user()}"}
    assert {each["DurationSeconds"] for each in (first, second)} == {"1800"}
    assert found.arn.endswith(f"assumed-role/b/brokerctl-cloud-{user()}")


def test_each_scope_is_a_session_of_the_last_role_alone(aws: Aws, login: Login) -> None:
    roles = chain(aws, login, A, B)
    found = {roles.keys(scope).access_key for scope in (None, POLICY, POLICY + " ", POLICY)}
    assert len(found) == 3
    assert [each["RoleArn"] for each in taken(aws)] == [A, B, B, B]
    assert login.times == 1


def test_they_are_taken_anew_after_two_thirds_of_their_life(
    aws: Aws, login: Login, clock: Clock
) -> None:
    roles = chain(aws, login, A, duration=900.0)
    first = roles.keys()
    clock.now += 590.0
    assert roles.keys() is first
    clock.now += 20.0
    assert roles.keys() != first
    assert login.times == 1


def test_another_login_takes_everything_anew(aws: Aws, login: Login) -> None:
    roles = chain(aws, login, A)
    first = roles.keys()
    login.login = 2
    assert roles.revision() == 2
    assert roles.keys() != first
    assert login.times == 2


def test_work_is_done_with_the_last_roles_keys(aws: Aws, login: Login) -> None:
    aws.secret("a", "value")
    roles = chain(aws, login, A)
    found = roles.call(
        "secretsmanager", lambda client: client.get_secret_value(SecretId="a"), "reading a"
    )
    assert found["SecretString"] == "value"
    assert aws.calls("GetSecretValue")[0]["access_key"] == roles.keys().access_key


def test_credentials_that_end_under_us_are_taken_once_more(aws: Aws, login: Login) -> None:
    aws.secret("a", "value")
    roles = chain(aws, login, A, B)
    first = roles.keys()
    aws.expire()
    found = roles.call(
        "secretsmanager", lambda each: each.get_secret_value(SecretId="a"), "reading"
    )
    assert found["SecretString"] == "value"
    assert roles.keys() != first
    assert [each["RoleArn"] for each in taken(aws)] == [A, B, B, A, B]


def test_once_more_and_no_more(aws: Aws, login: Login) -> None:
    aws.fail(aws_faults.EXPIRED.on("GetSecretValue"))
    roles = chain(aws, login, A)
    with pytest.raises(KeysOver):
        roles.call("secretsmanager", lambda each: each.get_secret_value(SecretId="a"), "reading")
    assert len(aws.calls("GetSecretValue")) == 2


def test_what_is_missing_is_what_the_caller_says(aws: Aws, login: Login) -> None:
    roles = chain(aws, login)
    with pytest.raises(SecretNotFound, match="reading nothing"):
        roles.call(
            "secretsmanager", lambda each: each.get_secret_value(SecretId="x"), "reading nothing"
        )


def test_a_role_that_may_not_be_taken_on_says_which(aws: Aws, login: Login) -> None:
    aws.fail(aws_faults.denied("arn:aws:iam::1:user/jo", "sts:AssumeRole", A).on("AssumeRole"))
    with pytest.raises(BackendRefused, match=f"taking on {A}") as caught:
        chain(aws, login, A).keys()
    assert caught.value.details["principal"] == "arn:aws:iam::1:user/jo"


def test_a_session_for_one_lease_has_its_name_and_tags_and_is_never_kept(
    aws: Aws, login: Login
) -> None:
    roles = chain(aws, login, A, source_identity="jo")
    tags = {"project": "/home/jo/app", "session": "s1"}
    first, second = (
        roles.taken_on(B, "brokerctl-s1", tags, POLICY, 900.0),
        roles.taken_on(B, "brokerctl-s1", {}, None, 900.0),
    )
    assert first != second
    assert first.expires_at is not None
    assert first.expires_at - login.clock() == pytest.approx(900.0, abs=5.0)
    before, tagged, plain = taken(aws)
    assert [each.get("SourceIdentity") for each in (before, tagged)] == ["jo", None]
    assert tagged["RoleSessionName"] == "brokerctl-s1"
    assert [tagged[f"Tags.member.{n}.Key"] for n in (1, 2)] == ["project", "session"]
    assert [tagged[f"Tags.member.{n}.Value"] for n in (1, 2)] == ["/home/jo/app", "s1"]
    assert [tagged[f"TransitiveTagKeys.member.{n}"] for n in (1, 2)] == ["project", "session"]
    assert tagged["Policy"] == POLICY
    assert {"Tags.member.1.Key", "Policy"}.isdisjoint(plain)


def test_the_first_role_says_who_is_behind_it_all(aws: Aws, login: Login) -> None:
    chain(aws, login, source_identity="jo").taken_on(B, "brokerctl-s1", {}, None, 900.0)
    assert [each["SourceIdentity"] for each in taken(aws)] == ["jo"]


def test_it_knows_the_role_with_its_path(aws: Aws, login: Login) -> None:
    """AWS tells of a session's role without that, and IAM finds no role so."""
    assert chain(aws, login, A, B).role == B
    assert chain(aws, ScopingLogin(login.clock), A).role == A
    assert chain(aws, ScopingLogin(login.clock)).role == C
    assert chain(aws, login).role is None
