"""What the table of a secret says, and what is refused there."""

from __future__ import annotations

from typing import Any

import pytest

from brokerd.backends.aws.settings import Settings
from brokerd.backends.aws.terms import StaticTerms, StsTerms, Terms, read
from brokerd.model import BoundedBy
from brokerd.table import Table
from brokershim.errors import ConfigError

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/openai-a1B2c3"
ROLE = "arn:aws:iam::123456789012:role/bedrock"
VERSION = "0b9cbd74-2b4e-4ae9-9e0a-5b1f4a6d8e11"


def _read(name: str = "openai/dev", **values: Any) -> Terms:
    table = Table("config.toml", f'secret."{name}"', values)
    found = read(table, name, "cloud", Settings("eu-central-1"), 900.0)
    table.finish()
    return found


def _static(**values: Any) -> StaticTerms:
    found = _read(**values)
    assert isinstance(found, StaticTerms)
    return found


def test_a_static_key_is_the_current_one_unless_something_else_is_said() -> None:
    found = _static(secret_id="prod/openai")
    assert (found.stage, found.version_id, found.field) == ("AWSCURRENT", None, None)
    assert (found.secret.provider, found.secret.hosts) == ("openai", ("api.openai.com",))
    assert found.secret.bounded_by is BoundedBy.BROKER
    assert not found.secret.delivery.signs
    assert not found.is_pinned


def test_a_pin_and_a_label_are_taken_as_they_are() -> None:
    pinned = _static(secret_id=ARN, version_id=VERSION)
    assert (pinned.stage, pinned.version_id, pinned.is_pinned) == (None, VERSION, True)
    before = _static(secret_id=ARN, stage="AWSPREVIOUS", max_staleness="5m")
    assert (before.stage, before.is_pinned, before.max_staleness) == ("AWSPREVIOUS", True, 300.0)


def test_two_secrets_share_a_key_only_where_all_is_the_same() -> None:
    tables: list[dict[str, Any]] = [
        {},
        {"field": "key"},
        {"stage": "AWSPREVIOUS"},
        {"version_id": VERSION},
        {"max_staleness": "5m"},
    ]
    assert len({_static(secret_id="a", **each).key for each in tables}) == len(tables)
    assert _static(secret_id="a").key == _static(secret_id="a", max_ttl="1m").key


def test_credentials_go_to_bedrock_unless_something_else_is_said() -> None:
    policy = '{\n "Version": "2012-10-17",\n "Statement": []\n}'
    found = _read("bedrock/dev", engine="sts", role_arn=ROLE, policy=policy, duration="1h")
    assert isinstance(found, StsTerms)
    assert "bedrock-runtime.eu-central-1.amazonaws.com" in found.secret.hosts
    assert found.secret.bounded_by is BoundedBy.PROVIDER
    assert found.secret.delivery.signs
    assert found.policy == '{"Version":"2012-10-17","Statement":[]}'
    assert (found.role_arn, found.duration) == (ROLE, 3600.0)
    other = _read("x/y", engine="sts", role_arn=ROLE, hosts=["s3.amazonaws.com"])
    assert isinstance(other, StsTerms)
    assert (other.secret.hosts, other.duration, other.policy) == (
        ("s3.amazonaws.com",),
        900.0,
        None,
    )


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"secret_id": "prod openai"},
        {"secret_id": "prod/*"},
        {"secret_id": ARN.removesuffix("-a1B2c3")},  # it would mean any that begins so
        {"secret_id": ARN.replace("eu-central-1", "us-east-1")},
        {"secret_id": "a", "version_id": "3"},
        {"secret_id": "a", "stage": "AWS CURRENT"},
        {"secret_id": "a", "version": 3},
        {"engine": "sts"},
        {"engine": "sts", "role_arn": "dev"},
        {"engine": "sts", "role_arn": ROLE, "duration": "1m"},
        {"engine": "sts", "role_arn": ROLE, "duration": "13h"},
        {"engine": "sts", "role_arn": ROLE, "policy": "[]"},
        {"engine": "sts", "role_arn": ROLE, "policy": '{"Version": '},
        {"engine": "sts", "role_arn": ROLE, "policy": '{"x": "' + "y" * 2048 + '"}'},
        {"engine": "sts", "role_arn": ROLE, "field": "x"},
    ],
)
def test_what_aws_cannot_have_is_refused_with_its_file(values: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        _read(**values)
    assert "config.toml" in caught.value.message
