"""An app that knows nothing of it, with keys that are in Secrets Manager."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.session import ASKING, App, Session, eventually
from tests.e2e.transcript import as_json
from tests.support.aws import REGION, Aws, role
from tests.support.aws_faults import BUSY, THROTTLED, Fault
from tests.support.jwks import Issuer

pytestmark = pytest.mark.slow

# In seconds: how often it looks, how old a key may get, a tick of the daemon, and what botocore
# takes to give up.
_WATCH, _STALE, _TICK, _GIVES_UP = 1, 4, 1, 15
_SLACK = 2  # that a busy machine may take
_ID = "prod/openai"
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
watch = "{watch}s"
endpoints = {{secretsmanager = "{url}", sts = "{url}"}}

[secret."openai/dev"]
backend = "cloud"
secret_id = "prod/openai"
field = "key"
hosts = ["{host}"]
max_staleness = "{stale}s"
"""


@pytest.fixture
def cloud(fresh: Session, aws: Aws) -> Iterator[Session]:
    """Make a home with a secret of Secrets Manager, and a project that may use it."""
    with Issuer() as issuer:
        token = Path(fresh.write("token", issuer.kubernetes("sts.amazonaws.com")))
        values = {"url": aws.url, "role": role("dev"), "region": REGION, "token": token}
        times = {"watch": _WATCH, "stale": _STALE, "host": fresh.provider.host}
        fresh.write(".config/brokerctl/config.toml", _CONFIG.format(**values, **times))
        aws.secret(_ID, _content(fresh.new_key()))
        fresh.trust()
        yield fresh


def test_nobody_asks_aws_before_a_key_is_wanted(cloud: Session, aws: Aws) -> None:
    (listed,) = as_json(cloud, "brokerctl backend list")
    assert (listed["kind"], listed["login"], listed["state"]) == ("aws", "web-identity", "closed")
    assert [each["action"] for each in aws.calls()] == ["CreateSecret"]  # our own


def test_an_app_is_served_by_a_session_that_may_read_one_secret(cloud: Session, aws: Aws) -> None:
    assert cloud.app("print(ask())").stdout.startswith("Hello")
    assert cloud.provider.asked[-1].key == cloud.keys[-1]
    (login,) = aws.calls("AssumeRoleWithWebIdentity")
    assert f":secret:{_ID}-" in login["params"]["Policy"]
    (leased,) = cloud.events(event="lease.acquired")
    assert leased["bounded_by"] == "broker"


def test_a_key_that_is_put_there_reaches_a_running_app(cloud: Session, aws: Aws) -> None:
    with cloud.starts(ASKING) as app:
        assert _key_that_is_used(cloud, app) == cloud.keys[-1]
        newer, begun = cloud.new_key(), time.monotonic()
        aws.put(_ID, _content(newer))
        assert eventually(lambda: _key_that_is_used(cloud, app) == newer)
        assert time.monotonic() - begun < _WATCH + _TICK + _SLACK
    (rotated,) = cloud.events(event="lease.ended", reason="secret rotated")
    assert rotated["secret"] == "openai/dev"


def test_credentials_that_aws_ends_are_had_anew(cloud: Session, aws: Aws) -> None:
    with cloud.starts(ASKING) as app:
        assert _answer(app).startswith("Hello")
        aws.expire()
        newer = cloud.new_key()
        aws.put(_ID, _content(newer))
        assert eventually(lambda: _key_that_is_used(cloud, app) == newer)
    assert len(aws.calls("AssumeRoleWithWebIdentity")) == 2


@pytest.mark.parametrize("fault", [BUSY, THROTTLED], ids=lambda each: each.code)
def test_in_an_outage_a_key_is_served_until_it_is_stale_and_no_longer(
    cloud: Session, aws: Aws, fault: Fault
) -> None:
    with cloud.starts(ASKING) as app:
        assert _answer(app).startswith("Hello")
        aws.fail(fault)
        served = fails = time.monotonic()
        (backend,) = as_json(cloud, "brokerctl status")["backends"]
        assert 0 < backend["served_for"] <= _STALE
        while (answer := _answer(app)).startswith("Hello"):
            served = time.monotonic()
        assert fails < served < fails + _STALE + _SLACK
        assert time.monotonic() - served < _GIVES_UP + _SLACK
        assert answer.startswith("403 brokerctl: ")
        aws.fail()
        assert eventually(lambda: _answer(app).startswith("Hello"))


def _content(key: str) -> str:
    return json.dumps({"key": key, "user": "somebody"})


def _key_that_is_used(cloud: Session, app: App) -> str:
    """Let the app ask, and return the key that its provider got."""
    _answer(app)
    return cloud.provider.asked[-1].key


def _answer(app: App) -> str:
    app.go_on()
    return app.says()
