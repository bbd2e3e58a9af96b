"""`brokerctl rotate`, of a key in Secrets Manager: an app that runs has the newer one at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.session import ASKING, App, Session, eventually
from tests.e2e.transcript import fails
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


def test_it_is_waited_for_and_gives_the_key_at_once_and_not_before(
    cloud: Session, aws: Aws
) -> None:
    with cloud.starts(ASKING) as app:
        first = cloud.keys[-1]
        assert _key_that_is_used(cloud, app) == first
        aws.begin(_ID, cloud.new_key())
        aws.finish(_ID)  # the broker looks in five minutes, and has not seen it
        assert _key_that_is_used(cloud, app) == first
        newest = cloud.new_key()
        aws.rotates(_ID, newest)
        with cloud.start("brokerctl rotate openai/dev") as waiting:
            assert eventually(lambda: len(aws.calls("RotateSecret")) == 2)
            assert {_key_that_is_used(cloud, app) for _ in range(3)} == {first}
            assert waiting.poll() is None
            aws.finish(_ID)
            assert waiting.wait(30) == 0
        assert _key_that_is_used(cloud, app) == newest
    assert cloud.events(event="secret.rotated", secret="openai/dev", leases=1)


def test_a_secret_that_nothing_rotates(cloud: Session) -> None:
    fails(
        cloud,
        "brokerctl rotate openai/dev",
        3,
        "nothing at AWS rotates openai/dev (prod/openai)",
        "configure its rotation there, or write a new version yourself",
    )


def _key_that_is_used(cloud: Session, app: App) -> str:
    """Let the app ask, and return the key that its provider got and took."""
    app.go_on()
    assert app.says().startswith("Hello")
    return cloud.provider.asked[-1].key
