"""What may stand in a backend's table about AWS, and what is refused?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from brokerd.backends.aws.settings import Settings, read
from brokerd.table import Table
from brokershim.errors import ConfigError
from tests.support.certificate import self_signed

ROLE = "arn:aws:iam::123456789012:role/team/dev"
LEAST = {"region": "eu-central-1", "login": "instance"}


def _read(**values: Any) -> Settings:
    table = Table("config.toml", "backend.cloud", {**LEAST, **values})
    found = read(table)
    table.text("login")
    table.finish()
    return found


def test_a_region_and_a_login_are_enough() -> None:
    assert _read() == Settings("eu-central-1")


def test_everything_that_can_be_said() -> None:
    found = _read(
        roles=[ROLE, "arn:aws-us-gov:iam::123456789012:role/b"],
        external_id="team:42",
        source_identity="jo@example.com",
        duration="30m",
        endpoints={"sts": "https://vpce-1.sts.example/", "imds": "http://127.0.0.1:1338"},
    )
    assert found.roles == (ROLE, "arn:aws-us-gov:iam::123456789012:role/b")
    assert (found.external_id, found.source_identity) == ("team:42", "jo@example.com")
    assert (found.duration, found.scope) == (1800.0, True)
    assert found.endpoints["sts"] == "https://vpce-1.sts.example"


def test_a_role_of_the_login_itself_is_scoped_too() -> None:
    assert _read(login="web-identity").scope
    assert not _read(login="web-identity", scope=False).scope
    assert not _read(login="profile").scope


def test_a_role_may_last_long_where_it_is_not_a_roles_role() -> None:
    assert _read(login="profile", roles=[ROLE], duration="12h").duration == 12 * 3600
    assert _read(login="web-identity", duration="12h").duration == 12 * 3600


@pytest.mark.parametrize(
    "region", ["eu-central-1", "us-gov-west-1", "ap-southeast-4", "cn-north-1"]
)
def test_regions(region: str) -> None:
    assert _read(region=region).region == region


def test_an_instances_service_is_the_one_that_is_asked_in_clear() -> None:
    address = "http://[fd00:ec2::254]"
    assert _read(endpoints={"imds": address}).endpoints == {"imds": address}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"region": "evil.example/#"}, "region"),
        ({"region": "eu-central-1."}, "region"),
        ({"region": "Frankfurt"}, 'region .*, as "eu-central-1" is'),
        ({"roles": ["dev"]}, "roles .*, as .*:role/dev. is"),
        ({"roles": ["arn:aws:iam::123456789012:user/dev"]}, "roles"),
        ({"roles": [f"{ROLE}\n"]}, "roles"),
        ({"external_id": "team"}, "external_id is for the last of roles"),
        ({"roles": [ROLE], "external_id": "two words"}, "external_id"),
        ({"source_identity": "aws:me"}, "source_identity"),
        ({"duration": "10m"}, "from 15m to 12h"),
        ({"duration": "13h"}, "from 15m to 12h"),
        ({"roles": [ROLE], "duration": "2h"}, "over 1h"),
        ({"login": "profile", "roles": [ROLE, ROLE], "duration": "2h"}, "over 1h"),
        ({"scope": True}, "scope needs a role"),
        ({"endpoints": {"sts": "http://sts.example"}}, "is not https"),
        ({"endpoints": {"sts": "http://169.254.169.254"}}, "is not https"),
        ({"endpoints": {"imds": "http://169.254.169.254.evil.example"}}, "is not https"),
        ({"endpoints": {"sts": "https://me@sts.example"}}, "not a URL"),
        ({"endpoints": {"s3": "https://s3.example"}}, "endpoints.s3 is none of"),
        ({"endpoints": {"sts": 1}}, "no text"),
        ({"endpoints": {"sts": "https://sts.example"}, "use_fips": True}, "goes with neither"),
        ({"endpoints": {"sts": "https://sts.example"}, "use_dualstack": True}, "goes with neither"),
        ({"ca_file": "ca.pem"}, "no absolute path"),
        ({"ca_file": "/nowhere/ca.pem"}, "cannot be read"),
        ({"access_key": "AKIA"}, "unknown key"),
    ],
)
def test_what_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        _read(**values)


def test_authorities_of_ones_own(tmp_path: Path) -> None:
    _, trusted = self_signed(tmp_path, "127.0.0.1")
    trusted.chmod(0o600)
    assert _read(ca_file=str(trusted)).trust.ca_file == str(trusted)
