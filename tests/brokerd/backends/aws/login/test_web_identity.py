"""Does an identity's token become credentials, and another token each time?"""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from brokerd.backends.aws.assumed import user
from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.login.base import scopes
from brokerd.backends.aws.login.web_identity import WebIdentity, build
from brokerd.backends.aws.logins import source
from brokerd.table import Table
from brokershim.errors import BackendRefused, ConfigError, IdentityExpired, IdentityUnavailable
from tests.support import aws_faults
from tests.support.aws import Aws, role
from tests.support.aws_asking import Clock, CountingIdentity, clients

TABLE = {"login": "web-identity", "identity": "work", "role_arn": role("dev")}
POLICY = '{"Version":"2012-10-17","Statement":[]}'


@pytest.fixture
def identity() -> CountingIdentity:
    return CountingIdentity()


def made(asking: Clients, own: CountingIdentity, **values: Any) -> WebIdentity:
    table = Table("config.toml", "backend.cloud", {**TABLE, **values})
    found = build("cloud", table, {"work": own}, asking)
    table.text("login")
    table.finish()
    return found


def calls(aws: Aws) -> list[dict[str, Any]]:
    return [each["params"] for each in aws.calls("AssumeRoleWithWebIdentity")]


def test_a_role_is_taken_on_with_the_identitys_token(aws: Aws, identity: CountingIdentity) -> None:
    login = made(clients(aws, duration=1800.0), identity)
    found = login.keys()
    (asked,) = calls(aws)
    assert asked["WebIdentityToken"] == identity.last
    assert (asked["RoleArn"], asked["RoleSessionName"]) == (
        role("dev"),
        f"brokerctl-cloud-{user()}",
    )
    assert asked["DurationSeconds"] == "1800"
    assert "Policy" not in asked
    assert identity.audiences == ["sts.amazonaws.com"]
    assert found.arn.endswith(f"assumed-role/dev/brokerctl-cloud-{user()}")
    assert found.session_token
    assert aws.calls("AssumeRoleWithWebIdentity")[0]["access_key"] == ""


def test_each_time_with_another_token(aws: Aws, identity: CountingIdentity) -> None:
    login = made(clients(aws), identity, audience="aws.example")
    assert scopes(login)
    login.keys()
    login.scoped(POLICY)
    first, second = calls(aws)
    assert first["WebIdentityToken"] != second["WebIdentityToken"]
    assert second["Policy"] == POLICY
    assert identity.audiences == ["aws.example"] * 2


def test_a_logout_drops_the_credentials(aws: Aws, identity: CountingIdentity) -> None:
    asking = clients(aws)
    roles = Roles(made(asking, identity), asking, Clock())
    first = roles.keys(POLICY)
    assert roles.keys(POLICY) is first
    identity.login = 2
    assert roles.keys(POLICY) != first
    assert len(calls(aws)) == 2


def test_a_token_that_is_over_is_told_and_not_shown(aws: Aws, identity: CountingIdentity) -> None:
    over = aws_faults.Fault("ExpiredTokenException", "Token expired: current date/time …")
    aws.fail(over.on("AssumeRoleWithWebIdentity"))
    with pytest.raises(IdentityExpired, match="as work") as caught:
        made(clients(aws), identity).keys()
    assert identity.last not in "".join(traceback.format_exception(caught.value))


def test_a_token_that_aws_repeats_is_not_shown(aws: Aws, identity: CountingIdentity) -> None:
    said = "No verification key for eyJhbGciOiJSUzI1NiJ9.eyJuIjoi1In0.c2lnbmF0dXJl: c2lnbmF0dXJl"
    aws.fail(aws_faults.Fault("InvalidIdentityToken", said).on("AssumeRoleWithWebIdentity"))
    with pytest.raises(BackendRefused, match="verification key") as caught:
        made(clients(aws), identity).keys()
    shown = "".join(traceback.format_exception(caught.value))
    assert identity.last not in shown
    assert "c2lnbmF0dXJl" not in shown
    assert "trust policy" in caught.value.hint


def test_who_is_not_trusted_is_told(aws: Aws, identity: CountingIdentity) -> None:
    said = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
    aws.fail(aws_faults.Fault("AccessDenied", said, 403).on("AssumeRoleWithWebIdentity"))
    with pytest.raises(BackendRefused, match="may not sts:AssumeRoleWithWebIdentity") as caught:
        made(clients(aws), identity).keys()
    assert role("dev") in caught.value.message


def test_an_identity_that_is_not_there_asks_nobody(
    aws: Aws, identity: CountingIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object, __: str | None) -> None:
        raise IdentityUnavailable("it is not there")

    monkeypatch.setattr(CountingIdentity, "token", fails)
    with pytest.raises(IdentityUnavailable):
        made(clients(aws), identity).keys()
    assert calls(aws) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"identity": "nobody"}, "no identity nobody"),
        ({"role_arn": "dev"}, "role_arn is none"),
        ({"audience": 1}, "audience is not a text"),
    ],
)
def test_what_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        made(clients("http://127.0.0.1:9"), CountingIdentity(), **values)


def test_a_table_names_the_login() -> None:
    asking = clients("http://127.0.0.1:9")
    for login in ("web-identity", "instance", "ecs", "pod-identity"):
        table = Table("config.toml", "backend.cloud", {**TABLE, "login": login})
        assert source(table, {"work": CountingIdentity()}, asking).kind == login
    with pytest.raises(ConfigError, match="login is none of"):
        source(Table("config.toml", "backend.cloud", {"login": "keys"}), {}, asking)
