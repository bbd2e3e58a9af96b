"""Is what docs/aws.md shows accepted as it stands there?"""

from __future__ import annotations

import json
import re
import textwrap
import tomllib
from typing import Any

import pytest

from brokerd.backends.aws.logins import LOGINS
from brokerd.backends.aws.terms import MAX_POLICY
from brokerd.config import parse
from brokerd.kinds import build_backends, build_identities
from tests.support.aws import REGION, role
from tests.support.daemon import REPOSITORY

_MANUAL = (REPOSITORY / "docs" / "aws.md").read_text()
_BLOCKS = [
    textwrap.dedent(each).strip()
    for each in re.findall(r"(?:^(?:    .*)?\n)+", _MANUAL, re.MULTILINE)
]
_TABLES = [each for each in _BLOCKS if each.startswith("[")]
_POLICIES = [each for each in _BLOCKS if each.startswith("{")]
_BACKEND = {"kind": "aws", "region": REGION, "login": "instance"}


def _built(document: dict[str, Any]) -> dict[str, Any]:
    settings = parse("config.toml", document)
    return dict(build_backends(settings, build_identities(settings)))


@pytest.mark.parametrize("text", _TABLES, ids=range(len(_TABLES)))
def test_every_table_is_accepted(text: str) -> None:
    document = tomllib.loads(text)
    document.setdefault("backend", {"cloud": _BACKEND})
    assert _built(document)["cloud"].watch_seconds == 60.0


def test_every_login_is_shown() -> None:
    shown = [tomllib.loads(each).get("backend", {}).get("cloud", {}) for each in _TABLES]
    assert {each.get("login") for each in shown} >= set(LOGINS)


@pytest.mark.parametrize("text", _POLICIES, ids=range(len(_POLICIES)))
def test_every_policy_is_one(text: str) -> None:
    policy = json.loads(text)
    assert policy["Version"] == "2012-10-17"
    for each in policy["Statement"]:
        assert {"Effect", "Action"} <= set(each) <= {
            "Sid", "Effect", "Action", "Resource", "Principal", "Condition"
        }  # fmt: skip
        assert ("Principal" in each) is not ("Resource" in each)  # a trust policy has no resource


def test_the_policy_allows_what_is_asked_for() -> None:
    (policy,) = [each for each in _POLICIES if "GetSecretValue" in each]
    for action in ("DescribeSecret", "BatchGetSecretValue"):
        assert f'"secretsmanager:{action}"' in policy
    assert role("dev") in policy
    assert len(policy) < MAX_POLICY
