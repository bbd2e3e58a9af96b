"""Which hosts are Bedrock's? Those that boto3 asks, wherever a backend is."""

from __future__ import annotations

import itertools
from typing import Any
from urllib.parse import urlsplit

import pytest

from brokerd.backends.aws.bedrock import hosts
from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.settings import Settings
from tests.support.aws_asking import ADMINS

_REGIONS = ("eu-central-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1")


@pytest.mark.parametrize(
    ("region", "use_fips", "use_dualstack"),
    list(itertools.product(_REGIONS, (False, True), (False, True))),
)
def test_they_are_those_that_boto3_asks(region: str, use_fips: bool, use_dualstack: bool) -> None:
    settings = Settings(region, use_fips=use_fips, use_dualstack=use_dualstack)
    client: Any = Clients("cloud", settings).client("bedrock-runtime", ADMINS)
    assert urlsplit(client.meta.endpoint_url).hostname in hosts(settings)


def test_an_app_that_knows_no_others_is_let_ask_the_plain_ones() -> None:
    plain = hosts(Settings("us-east-1"))
    assert plain == (
        "bedrock.us-east-1.amazonaws.com",
        "bedrock-runtime.us-east-1.amazonaws.com",
        "bedrock-agent-runtime.us-east-1.amazonaws.com",
    )
    assert set(plain) < set(hosts(Settings("us-east-1", use_fips=True)))
