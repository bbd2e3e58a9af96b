"""Credentials that are made for one lease, and say whose they are."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from brokerd.backends.aws.assumed import user
from brokerd.backends.aws.backend import AwsBackend
from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.sts import StsCredentials, tags_of
from brokerd.backends.aws.terms import StsTerms
from brokerd.backends.base import mints
from brokerd.model import BoundedBy, Credential, Delivery, Secret, Whom
from brokershim.awskeys import keys_of
from brokershim.errors import BackendRefused, LeaseNotFound, SecretNotFound
from brokershim.reference import is_key
from tests.support import aws_faults
from tests.support.aws import Aws, role
from tests.support.aws_asking import Clock
from tests.support.awsed import SECRET_ID, awsed

NAME, ROLE = "bedrock/dev", role("bedrock")
WHOM = Whom("s-1f", 4711, "/usr/bin/python3", "/home/jo/app")
NO_TAGS = aws_faults.denied("arn:aws:iam::1:role/dev", "sts:TagSession", ROLE).on("AssumeRole")
_TABLE = {"engine": "sts", "role_arn": ROLE}


def backend(aws: Aws, **more: Any) -> AwsBackend:
    return awsed(aws, {NAME: {**_TABLE, **more}, "openai/dev": {"secret_id": SECRET_ID}})


def document(credential: Credential) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(credential.value)
    return found


def test_it_is_what_a_credential_process_prints(aws: Aws) -> None:
    made = backend(aws)
    assert mints(made)
    assert made.makes(NAME)
    made.prepare(NAME)  # and nothing is to be written down
    credential = made.make(NAME, None, WHOM)
    found = document(credential)
    assert list(found) == [
        "Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration",
    ]  # fmt: skip
    assert found["Version"] == 1
    assert found["AccessKeyId"].startswith("ASIA")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["Expiration"])
    assert is_key(credential.value.decode()), "it stands in a reply as any key does"
    assert keys_of(NAME, credential.value.decode()).secret_key == found["SecretAccessKey"]


def test_it_signs_and_dies_by_itself(aws: Aws) -> None:
    made = backend(aws)
    described, credential = made.describe(NAME), made.make(NAME, None, WHOM)
    assert described.delivery == Delivery(signs=True)
    assert described.hosts == ("api.example.com",)
    assert (described.bounded_by, credential.bounded_by) == (BoundedBy.PROVIDER,) * 2
    assert credential.upstream is None
    assert credential.expires_at is not None


def test_the_session_says_whose_it_is(aws: Aws) -> None:
    policy = '{"Version": "2012-10-17", "Statement": []}'
    backend(aws, policy=policy, duration="20m").make(NAME, None, WHOM)
    (asked,) = aws.calls("AssumeRole")
    params = asked["params"]
    assert asked["access_key"].startswith("ASIA"), "by the role of the login"
    assert (params["RoleArn"], params["RoleSessionName"]) == (ROLE, "brokerctl-s-1f-4711")
    assert (params["DurationSeconds"], json.loads(params["Policy"])) == ("1200", json.loads(policy))
    tags = {params[f"Tags.member.{n}.Key"]: params[f"Tags.member.{n}.Value"] for n in range(1, 5)}
    assert tags == {
        "brokerctl:user": user(),
        "brokerctl:session": "s-1f",
        "brokerctl:program": "/usr/bin/python3",
        "brokerctl:project": "/home/jo/app",
    }


def test_who_asks_for_it_may_take_on_that_role_and_do_nothing_else(aws: Aws) -> None:
    awsed(aws, {NAME: _TABLE}, roles=[role("hub")]).make(NAME, None, WHOM)
    login, hub, made = aws.calls("AssumeRoleWithWebIdentity", "AssumeRole")
    for each, following in ((login, "hub"), (hub, "bedrock")):
        (statement,) = json.loads(each["params"]["Policy"])["Statement"]
        assert (statement["Effect"], statement["Resource"]) == ("Allow", [role(following)])
        assert statement["Action"] == ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
    assert "Policy" not in made["params"]


def test_nor_is_it_narrowed_where_that_is_not_wanted(aws: Aws) -> None:
    awsed(aws, {NAME: _TABLE}, scope=False).make(NAME, None, WHOM)
    (login,) = aws.calls("AssumeRoleWithWebIdentity")
    assert "Policy" not in login["params"]


def test_each_lease_has_its_own(aws: Aws) -> None:
    made = backend(aws)
    one, two = (made.make(NAME, None, WHOM) for _ in range(2))
    assert document(one)["AccessKeyId"] != document(two)["AccessKeyId"]
    assert one.version != two.version
    assert document(one)["AccessKeyId"] not in one.version


def test_a_role_that_lets_nobody_tag_is_asked_without_tags(
    aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    made = backend(aws)
    aws.fail(NO_TAGS.only(1))
    with caplog.at_level(logging.WARNING):
        assert document(made.make(NAME, None, WHOM))["AccessKeyId"]
        made.make(NAME, None, WHOM)
    tagged = ["Tags.member.1.Key" in each["params"] for each in aws.calls("AssumeRole")]
    assert tagged == [True, False, False], "it is asked that once"
    (said,) = caplog.messages
    assert (ROLE in said, "sts:TagSession" in said) == (True, True)


def test_a_role_that_may_not_be_taken_on_is_not_asked_again(aws: Aws) -> None:
    made = backend(aws)
    aws.fail(aws_faults.denied("arn:aws:iam::1:role/dev", "sts:AssumeRole", ROLE).on("AssumeRole"))
    with pytest.raises(BackendRefused, match="may not sts:AssumeRole"):
        made.make(NAME, None, WHOM)
    assert len(aws.calls("AssumeRole")) == 1


def test_what_is_kept_is_not_made_and_the_other_way_round(aws: Aws) -> None:
    made = backend(aws)
    assert not made.makes("openai/dev")
    assert not made.makes("no/such")
    for name in ("openai/dev", "no/such"):
        with pytest.raises((BackendRefused, SecretNotFound)):
            made.make(name, None, WHOM)
    with pytest.raises(SecretNotFound):
        made.prepare("no/such")
    with pytest.raises(BackendRefused):
        made.fetch(NAME)
    with pytest.raises(LeaseNotFound):
        made.renew("anything", 60.0)


def test_tags_hold_what_tags_can() -> None:
    long = "/" + "x" * 300 + "/app"
    tags = tags_of(Whom("s", 1, "/opt/naïve app/<run>&\n.py", long))
    assert tags["brokerctl:program"] == "/opt/naïve app/_run___.py"
    assert tags["brokerctl:project"] == long[-256:]
    assert "brokerctl:project" not in tags_of(Whom("s", 1, "/p", ""))


class _Roles:
    """Gives out credentials that live as long as it is told."""

    def __init__(self, clock: Clock, life: float | None) -> None:
        self._clock, self._life = clock, life

    def taken_on(self, *_: object) -> Keys:
        self._clock.now += 2.0  # the answer took that long
        ends = None if self._life is None else self._clock.now + self._life
        return Keys("ASIA", "secret", "token", ends)


@pytest.mark.parametrize(("life", "ends"), [(900.0, 1900.0), (600.0, 1602.0), (None, 1900.0)])
def test_it_never_counts_as_alive_for_longer_than_was_asked(
    life: float | None, ends: float
) -> None:
    clock = Clock()
    described = Secret(NAME, "", ("h",), "cloud", 900.0, "", BoundedBy.PROVIDER)
    terms = StsTerms(described, ROLE, 900.0, None)
    roles = cast(Roles, _Roles(clock, life))
    credential = StsCredentials(roles, clock, lambda: 1e9).make(terms, WHOM)
    assert credential.expires_at == ends
    assert document(credential)["Expiration"] == _stamp(1e9 + ends - clock.now)


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
