"""What becomes of a request where AWS, or the network to it, does not do what it should?"""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from brokerd.backends.aws import transport
from brokerd.backends.aws.faults import translated
from brokerd.trust import Trust
from brokershim.errors import (
    BackendTimeout,
    ServerDown,
    ServerUnproven,
    ServerUnresolved,
)
from tests.support import aws_faults
from tests.support.aws import Aws
from tests.support.aws_asking import ADMINS, Clock, clients
from tests.support.certificate import self_signed
from tests.support.provider import Answer, Asked, Provider

pytestmark = pytest.mark.usefixtures("no_pauses")
SECRET = {"ARN": "arn", "Name": "a", "VersionId": "v", "SecretString": "value"}


def read(url: Aws | str) -> str:
    with translated("reading a"):
        client = clients(url).client("secretsmanager", ADMINS)
        return str(client.get_secret_value(SecretId="a")["SecretString"])


@contextmanager
def answering(*answers: Answer) -> Generator[Provider]:
    """Run a server that gives these answers, the last one for ever."""
    left = list(answers)

    def reply(_: Asked) -> Answer:
        return left.pop(0) if len(left) > 1 else left[0]

    with Provider(reply) as server:
        yield server


def test_a_request_arrives_signed_and_without_what_the_environment_adds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "evil")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "evil")
    with answering(Answer(200, json.dumps(SECRET).encode())) as server:
        assert read(server.url) == "value"
    (asked,) = server.asked
    assert (asked.method, asked.target) == ("POST", "/")
    assert json.loads(asked.body) == {"SecretId": "a"}
    assert asked.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIAADMIN")
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.headers["connection"] == "close"
    assert "x-amzn-trace-id" not in asked.headers


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    elsewhere = (("location", "http://127.0.0.1:9/"),)
    with (
        answering(Answer(status, b"", elsewhere)) as server,
        pytest.raises(ServerDown, match="redirects"),
    ):
        read(server.url)
    assert len(server.asked) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"SecretString": "val', b"\xff"])
def test_what_is_no_answer_of_aws_is_not_an_empty_one(body: bytes) -> None:
    with (
        answering(Answer(200, body)) as server,
        pytest.raises(ServerDown, match="answers what AWS does not"),
    ):
        read(server.url)


@pytest.mark.parametrize("body", [b"", b"<html>", b"<a/>", b"<a>b</a>"])
def test_nor_is_it_where_that_is_xml(body: bytes) -> None:
    with answering(Answer(200, body)) as server:
        client = clients(server.url).client("sts", ADMINS)
        with pytest.raises(ServerDown, match="none of AWS"), translated("asking"):
            client.get_caller_identity()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_xml_defines_no_entities(encoding: str) -> None:
    text = (
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e "evil">]><GetCallerIdentityResponse>'
        "<GetCallerIdentityResult><Arn>&e;</Arn></GetCallerIdentityResult>"
        "</GetCallerIdentityResponse>"
    )
    with answering(Answer(200, text.encode(encoding))) as server:
        client = clients(server.url).client("sts", ADMINS)
        with pytest.raises(ServerDown, match="answers what AWS does not"), translated("asking"):
            client.get_caller_identity()


@pytest.mark.parametrize("level", [b"[", b'{"a":'])
def test_json_has_not_too_many_levels(level: bytes) -> None:
    with answering(Answer(400, level * 100_000)) as server:
        client = clients(server.url, endpoints={"sso-oidc": server.url}).client("sso-oidc")
        with pytest.raises(ServerDown, match="answers what AWS does not"), translated("asking"):
            client.register_client(clientName="a", clientType="public")


@pytest.mark.parametrize("date", [b"1e999", b"-1e999", b"99999999999999999999", b"NaN", b"{}"])
def test_a_date_that_no_calendar_has_is_not_awss(date: bytes) -> None:
    body = b'{"SecretString": "k", "CreatedDate": ' + date + b"}"
    with (
        answering(Answer(200, body)) as server,
        pytest.raises(ServerDown, match="none of AWS") as caught,
    ):
        read(server.url)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("name", [b"[]", b"{}", b"1"])
def test_a_refusal_without_a_name_is_not_awss(name: bytes) -> None:
    body = b'{"__type": ' + name + b', "message": "no"}'
    with answering(Answer(400, body)) as server, pytest.raises(ServerDown, match="none of AWS"):
        read(server.url)


def test_a_list_where_awss_answer_has_a_map_is_not_awss() -> None:
    with answering(Answer(200, b'{"VersionIdsToStages": ["AWSCURRENT"]}')) as server:
        client = clients(server.url).client("secretsmanager", ADMINS)
        with pytest.raises(ServerDown, match="none of AWS"), translated("looking at a"):
            client.describe_secret(SecretId="a")


@pytest.mark.parametrize("status", [403, 404, 407])
def test_a_proxys_refusal_is_not_awss(status: int) -> None:
    with (
        answering(Answer(status, b"<html>no</html>", (("content-type", "text/html"),))) as server,
        pytest.raises(ServerDown, match="none of AWS") as caught,
    ):
        read(server.url)
    assert "proxy" in caught.value.hint


def test_an_answer_has_a_longest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brokerd.backends.aws.transport._LONGEST", 1000)
    with (
        answering(Answer(200, b" " * 1001)) as server,
        pytest.raises(ServerDown, match="more than"),
    ):
        read(server.url)


def test_twenty_long_secrets_fit(aws: Aws) -> None:
    long = base64.b64encode(b"x" * 49_000)  # 64 KiB at most, and a third longer in base64
    names = [f"long-{number}" for number in range(20)]
    for name in names:
        aws.secret(name, long)
    client = clients(aws).client("secretsmanager", ADMINS)
    found = client.batch_get_secret_value(SecretIdList=names)["SecretValues"]
    assert [each["SecretBinary"] for each in found] == [long] * 20


@pytest.mark.parametrize("fault", [aws_faults.DROPPED, aws_faults.CUT, aws_faults.BUSY])
def test_what_goes_wrong_once_is_tried_again(aws: Aws, fault: aws_faults.Fault) -> None:
    aws.secret("a", "value")
    aws.fail(fault.on("GetSecretValue").only(1))
    assert read(aws) == "value"
    assert len(aws.calls("GetSecretValue")) == 2


def test_what_goes_wrong_always_ends_after_three_times(aws: Aws) -> None:
    aws.fail(aws_faults.INTERNAL.on("GetSecretValue"))
    with pytest.raises(ServerDown, match="InternalServiceError"):
        read(aws)
    assert len(aws.calls("GetSecretValue")) == 3


def test_a_server_that_hangs_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brokerd.backends.aws.transport.TOTAL_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(BackendTimeout):
            read(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert time.monotonic() - begun < 3.0


def test_all_attempts_together_have_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()

    def slow(_: Asked) -> Answer:
        clock.now += 8.0
        return Answer(503, b"{}")

    monkeypatch.setattr(transport, "time", SimpleNamespace(monotonic=clock))
    said = "does not serve in 15 s"
    with Provider(slow) as server, pytest.raises(BackendTimeout, match=said) as caught:
        read(server.url)
    assert len(server.asked) == 2
    assert "`endpoints`" in caught.value.hint


def test_a_question_that_is_over_leaves_no_deadline_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a thread of the daemon that asks one thing after the other, such as a login's page."""
    clock = Clock()
    monkeypatch.setattr(transport, "time", SimpleNamespace(monotonic=clock))
    with transport.one_question():
        clock.now += 2 * transport.QUESTION_SECONDS
        with pytest.raises(BackendTimeout, match="does not serve in 35 s"):
            read("http://127.0.0.1:9")
    with answering(Answer(200, json.dumps(SECRET).encode())) as server:
        assert read(server.url) == "value"


def test_a_server_that_is_away() -> None:
    with pytest.raises(ServerDown, match=r"reading a: .*nothing listens there"):
        read("http://127.0.0.1:9")


def test_a_name_that_leads_nowhere() -> None:
    with pytest.raises(ServerUnresolved) as caught:
        read("https://secretsmanager.invalid")
    assert "region" in caught.value.hint


def test_a_server_that_proves_nothing(tmp_path: Path) -> None:
    context, trusted = self_signed(tmp_path, "127.0.0.1")
    trusted.chmod(0o600)
    with answering(Answer(200, json.dumps(SECRET).encode())) as server:
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        url = f"https://127.0.0.1:{server.port}"
        with pytest.raises(ServerUnproven):
            read(url)
        asking = clients(url, trust=Trust(str(trusted)))
        with translated("reading a"):
            found = asking.client("secretsmanager", ADMINS).get_secret_value(SecretId="a")
    assert found["SecretString"] == "value"
    assert len(server.asked) == 1
