"""Does a container have its role's credentials, from a service on this machine alone?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from brokerd.ambient import CONTAINER
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.login.container import Container
from brokershim.errors import BackendRefused, BrokerError, IdentityUnavailable, InsecurePath
from tests.support import aws_shapes
from tests.support.aws_asking import Clock
from tests.support.provider import Answer, Asked, Provider

RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
BODY = aws_shapes.container(
    {
        "AccessKeyId": "ASIA1",
        "SecretAccessKey": "secret-key",
        "Token": "session-token",
        "Expiration": "2026-11-23T18:00:00Z",
        "RoleArn": "arn:aws:iam::123456789012:role/task",
    }
)
DATE = (("date", "Mon, 23 Nov 2026 12:00:00 GMT"), ("content-type", "application/json"))
FOUND = Keys(
    "ASIA1",
    "secret-key",
    "session-token",
    500.0 + 6 * 3600,
    "arn:aws:iam::123456789012:role/task",
)


@pytest.fixture
def service() -> Iterator[Provider]:
    with Provider(lambda _: Answer(200, BODY, DATE)) as server:
        yield server


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    found = tmp_path / "eks-pod-identity-token"
    found.write_text("token-of-the-pod\n")
    found.chmod(0o600)
    return found


def container(kind: str, **environ: str) -> Container:
    return Container(kind, environ, Clock(500.0))


def test_a_task_asks_where_its_platform_says(
    service: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brokerd.backends.aws.login.container._ECS", service.url)
    login = container("ecs", **{RELATIVE: "/v2/credentials/1-2?x=y"})
    assert login.keys() == FOUND
    (asked,) = service.asked
    assert (asked.method, asked.target) == ("GET", "/v2/credentials/1-2?x=y")
    assert "authorization" not in asked.headers
    assert "secret-key" not in repr(login)


def test_the_service_of_tasks_has_one_address() -> None:
    assert container("ecs", **{RELATIVE: "/v2/x"})._url() == "http://169.254.170.2/v2/x"


def test_a_pod_proves_itself_with_its_file(service: Provider, token_file: Path) -> None:
    environ = {FULL: f"{service.url}/v1/credentials", TOKEN_FILE: str(token_file)}
    login = container("pod-identity", **environ)
    assert login.keys() == FOUND
    token_file.write_text("a-newer-token")
    login.keys()
    assert [each.headers["authorization"] for each in service.asked] == [
        "token-of-the-pod",
        "a-newer-token",
    ]
    assert {each.target for each in service.asked} == {"/v1/credentials"}


def test_a_pod_takes_no_address_of_tasks() -> None:
    with pytest.raises(IdentityUnavailable, match=FULL):
        container("pod-identity", **{RELATIVE: "/v2/x", TOKEN: "t"}).keys()


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.170.2/v2/x",
        "http://169.254.170.23/v1/credentials",
        "http://[fd00:ec2::23]/v1/credentials",
        "http://127.0.0.1:51679/x",
        "http://[::1]:1/x",
    ],
)
def test_a_service_on_this_machine_is_asked(url: str) -> None:
    assert container("pod-identity", **{FULL: url})._url() == url


@pytest.mark.parametrize(
    "url",
    [
        "http://evil.example/v1/credentials",
        "https://evil.example/v1/credentials",
        "http://169.254.169.254/latest",
        "http://169.254.170.2.evil.example/x",
        "http://169.254.170.23@evil.example/x",
        "http://me@169.254.170.23/x",
        "http://169.254.170.23/x y",
        "http://[::1/x",
        "http://127.0.0.1:99999/x",
        "http://127.0.0.1:http/x",
        "https://169.254.170.23/v1/credentials",
        "ftp://127.0.0.1/x",
        "file:///etc/passwd",
        "169.254.170.23/x",
    ],
)
def test_nobody_else_is_asked(url: str) -> None:
    with pytest.raises(BackendRefused, match="on this machine"):
        container("pod-identity", **{FULL: url, TOKEN: "t"}).keys()


@pytest.mark.parametrize(
    "path", ["@evil.example/x", "evil.example", ":80@evil.example/", ".evil/x"]
)
def test_a_path_is_one(path: str) -> None:
    with pytest.raises(BackendRefused, match="is no path"):
        container("ecs", **{RELATIVE: path}).keys()


def test_a_path_with_a_line_end_is_none() -> None:
    with pytest.raises(BackendRefused):
        container("ecs", **{RELATIVE: "/x HTTP/1.1\r\nHost: evil"}).keys()


def test_a_file_that_others_write_is_refused(service: Provider, token_file: Path) -> None:
    token_file.chmod(0o666)
    environ = {FULL: f"{service.url}/v1/credentials", TOKEN_FILE: str(token_file)}
    with pytest.raises(InsecurePath):
        container("pod-identity", **environ).keys()
    assert service.asked == []


def test_a_token_of_two_lines_is_never_sent(service: Provider) -> None:
    environ = {FULL: f"{service.url}/x", TOKEN: "a\r\nx-evil: b"}
    with pytest.raises(BrokerError) as caught:
        container("ecs", **environ).keys()
    assert "x-evil" not in str(caught.value)
    assert service.asked == []


def test_a_daemon_that_starts_by_itself_is_given_all_of_them() -> None:
    assert {RELATIVE, FULL, TOKEN, TOKEN_FILE} == CONTAINER


@pytest.mark.parametrize("kind", ["ecs", "pod-identity"])
def test_where_the_platform_says_nothing_it_is_no_container(kind: str) -> None:
    with pytest.raises(IdentityUnavailable) as caught:
        container(kind).keys()
    assert "environment" in caught.value.hint


def test_a_pod_without_a_token_asks_nobody(service: Provider) -> None:
    with pytest.raises(IdentityUnavailable, match=TOKEN_FILE):
        container("pod-identity", **{FULL: f"{service.url}/x"}).keys()
    assert service.asked == []


def test_a_refusal_shows_nothing_of_the_token(service: Provider) -> None:
    def refuses(asked: Asked) -> Answer:
        return Answer(400, asked.headers["authorization"].encode())

    service.reply = refuses
    environ = {FULL: f"{service.url}/x", TOKEN: "token-of-the-pod"}
    with pytest.raises(BackendRefused, match="400") as caught:
        container("pod-identity", **environ).keys()
    assert "token-of-the-pod" not in str(caught.value)
