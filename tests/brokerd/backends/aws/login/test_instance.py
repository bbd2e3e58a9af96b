"""Does an instance give its role's credentials, by the second version of its service alone?"""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.login.instance import Instance, build
from brokerd.table import Table
from brokershim.errors import BackendRefused, BrokerError, IdentityUnavailable, ServerDown
from tests.support.aws import Aws
from tests.support.aws_asking import Clock, clients
from tests.support.provider import Answer, Asked, Misbehave, Provider

TOKEN = "/latest/api/token"
ROLES = "/latest/meta-data/iam/security-credentials/"
CREDENTIALS = {
    "Code": "Success",
    "LastUpdated": "2026-11-23T12:00:00Z",
    "Type": "AWS-HMAC",
    "AccessKeyId": "ASIA1",
    "SecretAccessKey": "secret-key",
    "Token": "session-token",
    "Expiration": "2026-11-23T18:00:00Z",
}
DATE = (("date", "Mon, 23 Nov 2026 12:00:00 GMT"), ("content-type", "text/plain"))


class Service:
    """An instance's metadata service as the EC2 User Guide has it, "Use IMDSv2".

    Attributes:
        credentials: Of its role.
        instead: Answers by path, in the place of its own.
    """

    def __init__(self) -> None:
        self.credentials: dict[str, Any] = dict(CREDENTIALS)
        self.instead: dict[str, Answer] = {}

    def __call__(self, asked: Asked) -> Answer:
        if asked.target in self.instead:
            return self.instead[asked.target]
        if (asked.method, asked.target) == ("PUT", TOKEN):
            assert 1 <= int(asked.headers["x-aws-ec2-metadata-token-ttl-seconds"]) <= 21600
            assert "x-forwarded-for" not in asked.headers  # AWS refuses those
            return Answer(200, b"the-token==", DATE)
        if asked.headers.get("x-aws-ec2-metadata-token") != "the-token==":
            return Answer(401, b"", DATE)
        if asked.target == ROLES:
            return Answer(200, b"dev", DATE)
        return Answer(200, json.dumps(self.credentials).encode(), DATE)


@contextmanager
def instance(service: Service) -> Generator[tuple[Instance, Provider]]:
    with Provider(service) as server:
        yield Instance(server.url, Clock(500.0)), server


def test_its_roles_credentials() -> None:
    with instance(Service()) as (login, server):
        found = login.keys()
    assert found == Keys("ASIA1", "secret-key", "session-token", 500.0 + 6 * 3600)
    assert [(each.method, each.target) for each in server.asked] == [
        ("PUT", TOKEN),
        ("GET", ROLES),
        ("GET", ROLES + "dev"),
    ]
    assert login.revision() == login.revision()


def test_motos_service_gives_them_too(aws: Aws) -> None:
    asking = clients(aws, endpoints={"imds": aws.url})
    login = build("cloud", Table("config.toml", "backend.cloud", {}), {}, asking)
    assert login.keys().session_token


def test_it_is_where_every_instance_has_it() -> None:
    asking = clients("http://127.0.0.1:9")
    login = build("cloud", Table("config.toml", "backend.cloud", {}), {}, asking)
    assert login.address == "http://169.254.169.254"


def test_the_environment_neither_moves_it_nor_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    evil = "http://127.0.0.1:9"
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", evil)
    monkeypatch.setenv("http_proxy", evil)
    with instance(Service()) as (login, _):
        assert login.keys().access_key == "ASIA1"


@pytest.mark.parametrize("status", [403, 404, 405])
def test_without_a_token_the_first_version_is_not_asked(status: int) -> None:
    service = Service()
    service.instead[TOKEN] = Answer(status, b"")
    with instance(service) as (login, server), pytest.raises(BrokerError):
        login.keys()
    assert [each.target for each in server.asked] == [TOKEN]


def test_an_instance_without_a_role_is_told() -> None:
    service = Service()
    service.instead[ROLES] = Answer(404, b"")
    with instance(service) as (login, _), pytest.raises(IdentityUnavailable) as caught:
        login.keys()
    assert "with a role" in caught.value.hint


def test_nobody_there_says_what_a_container_needs() -> None:
    with pytest.raises(IdentityUnavailable, match="nothing listens") as caught:
        Instance("http://127.0.0.1:9").keys()
    assert "hop limit of 2" in caught.value.hint


def test_a_service_that_hangs_up() -> None:
    def hangs_up(_: Asked) -> Answer:
        raise Misbehave

    with Provider(hangs_up) as server, pytest.raises(IdentityUnavailable, match="breaks off"):
        Instance(server.url).keys()


@pytest.mark.parametrize("name", [b"", b"dev\nother", b"a role", b"\xff", b"x" * 2000])
def test_what_is_no_role_is_not_asked_for(name: bytes) -> None:
    service = Service()
    service.instead[ROLES] = Answer(200, name)
    with instance(service) as (login, server), pytest.raises(ServerDown, match="none of AWS"):
        login.keys()
    assert server.asked[-1].target == ROLES


def test_a_role_leads_nowhere_else() -> None:
    service = Service()
    service.instead[ROLES] = Answer(200, b"../../user-data")
    with instance(service) as (login, server):
        login.keys()
    assert server.asked[-1].target == ROLES + "..%2F..%2Fuser-data"


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"Code": "AssumeRoleUnauthorizedAccess"}, BackendRefused),
        ({"SecretAccessKey": ""}, ServerDown),
        ({"Token": None}, ServerDown),
        ({"Token": "t\r\nX-Other: 1"}, ServerDown),
        ({"SecretAccessKey": "half a character: \ud800"}, ServerDown),
        ({"Expiration": None}, ServerDown),
        ({"Expiration": "tomorrow"}, ServerDown),
        ({"Expiration": "2026-11-23T18:00:00"}, ServerDown),
        ({"Expiration": "2026-11-23T11:59:59Z"}, ServerDown),
    ],
)
def test_what_is_not_whole_or_over_is_refused(
    change: dict[str, Any], kind: type[BrokerError]
) -> None:
    service = Service()
    service.credentials.update(change)
    with instance(service) as (login, _), pytest.raises(kind) as caught:
        login.keys()
    assert "session-token" not in str(caught.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"Code": '])
def test_nonsense_is_refused(body: bytes) -> None:
    service = Service()
    service.instead[ROLES + "dev"] = Answer(200, body)
    with instance(service) as (login, _), pytest.raises(ServerDown):
        login.keys()


def test_a_service_that_fails_is_down() -> None:
    service = Service()
    service.instead[ROLES] = Answer(503, b"")
    with instance(service) as (login, _), pytest.raises(ServerDown, match="503"):
        login.keys()
