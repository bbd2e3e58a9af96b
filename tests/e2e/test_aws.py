"""An app that knows nothing of it, with a key that is in AWS Secrets Manager."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.session import Session, eventually
from tests.e2e.transcript import as_json, fails
from tests.support import tokens
from tests.support.aws import REGION, Aws, role

pytestmark = pytest.mark.slow

_CONFIG = """
[identity.work]
kind = "file"
path = "{token}"

[backend.cloud]
kind = "aws"
region = "{region}"
login = "web-identity"
identity = "work"
role_arn = "{role}"
endpoints = {{secretsmanager = "{url}", sts = "{url}", iam = "{url}"}}
watch = "5m"
max_staleness = "15m"

[secret."openai/dev"]
backend = "cloud"
secret_id = "prod/openai"
hosts = ["{host}"]
"""
_ID = "prod/openai"
_ASKING = """
while True:
    input()
    print(ask(), flush=True)
"""


@pytest.fixture
def cloud(fresh: Session, aws: Aws) -> Session:
    """Make a home with a secret of AWS, and a project that may use it."""
    token = Path(fresh.write("token", tokens.token("sts.amazonaws.com")))
    token.chmod(0o600)
    values = {"region": REGION, "role": role("dev"), "url": aws.url, "host": fresh.provider.host}
    config = _CONFIG.format(token=token, **values)
    fresh.write(".config/brokerctl/config.toml", config)
    aws.secret(_ID, fresh.new_key())
    fresh.trust()
    return fresh


def test_a_rotation_that_is_asked_for_reaches_a_running_app_at_once(
    cloud: Session, aws: Aws
) -> None:
    with cloud.starts(_ASKING) as app:
        app.go_on()
        assert app.says().startswith("Hello")
        assert cloud.provider.asked[-1].key == cloud.keys[-1]
        before, newer = aws.version(_ID), cloud.new_key()
        version = aws.begin(_ID, newer)
        aws.finish(_ID)  # the broker looks in five minutes, and has not seen it
        app.go_on()
        assert app.says().startswith("Hello")
        assert cloud.provider.asked[-1].key != newer
        newest = cloud.new_key()
        aws.rotates(_ID, newest)
        with cloud.start("brokerctl rotate openai/dev") as waiting:
            assert eventually(lambda: len(aws.calls("RotateSecret")) == 2)
            aws.finish(_ID)
            assert waiting.wait(30) == 0
        app.go_on()
        assert app.says().startswith("Hello")
        assert cloud.provider.asked[-1].key == newest
        assert aws.version(_ID) not in (before, version)
    assert cloud.events(event="secret.rotated", secret="openai/dev", leases=1)


def test_a_secret_that_nothing_rotates(cloud: Session) -> None:
    fails(
        cloud,
        "brokerctl rotate openai/dev",
        3,
        "nothing at AWS rotates openai/dev (prod/openai)",
        "configure its rotation there, or write a new version yourself",
    )


def test_nobody_asks_aws_before_a_key_is_wanted(cloud: Session, aws: Aws) -> None:
    (listed,) = as_json(cloud, "brokerctl backend list")
    assert (listed["kind"], listed["login"], listed["state"]) == ("aws", "web-identity", "closed")
    assert [each["action"] for each in aws.calls()] == ["CreateSecret"]  # our own
