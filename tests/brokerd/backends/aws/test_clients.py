"""Is AWS asked where config.toml says, and does nothing else say it?"""

from __future__ import annotations

import importlib
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.faults import translated
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.settings import Settings
from tests.support.aws import Aws
from tests.support.aws_asking import ADMINS, Clock, clients

EVIL = "http://127.0.0.1:9"
DYING = Keys("ASIA1", "secret", "token", 2000.0)


def endpoint(service: str, **settings: Any) -> str:
    region = settings.pop("region", "eu-central-1")
    return str(
        Clients("cloud", Settings(region, **settings)).client(service, ADMINS).meta.endpoint_url
    )


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "https://secretsmanager.eu-central-1.amazonaws.com"),
        ({"region": "cn-north-1"}, "https://secretsmanager.cn-north-1.amazonaws.com.cn"),
        (
            {"region": "us-east-1", "use_fips": True},
            "https://secretsmanager-fips.us-east-1.amazonaws.com",
        ),
        ({"use_dualstack": True}, "https://secretsmanager.eu-central-1.api.aws"),
        (
            {"region": "us-east-1", "use_fips": True, "use_dualstack": True},
            "https://secretsmanager-fips.us-east-1.api.aws",
        ),
        ({"endpoints": {"secretsmanager": "https://vpce-1.example"}}, "https://vpce-1.example"),
    ],
)
def test_an_endpoint_is_the_one_that_boto3_has(settings: dict[str, Any], url: str) -> None:
    assert endpoint("secretsmanager", **settings) == url


def test_sts_is_asked_in_the_region() -> None:
    assert endpoint("sts", region="us-east-1") == "https://sts.us-east-1.amazonaws.com"


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let everything that botocore reads by itself say something else."""
    config, models = tmp_path / ".aws" / "config", tmp_path / ".aws" / "models"
    service = models / "secretsmanager" / "2017-10-17"
    service.mkdir(parents=True)
    (service / "endpoint-rule-set-1.json").write_text(json.dumps({"version": "1.3"}))
    config.write_text(
        f"[default]\nregion = us-west-1\nendpoint_url = {EVIL}\nca_bundle = /nowhere\n"
        "use_fips_endpoint = true\nmax_attempts = 9\nparameter_validation = false\n"
    )
    (tmp_path / "evil_plugin.py").write_text("def initialize_client_plugin(client): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    # What it has been since its import.
    monkeypatch.setattr("botocore.loaders.Loader.CUSTOMER_DATA_PATH", str(models))
    for name, value in {
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(config),
        "AWS_DATA_PATH": str(models),
        "AWS_PROFILE": "nobody",
        "AWS_DEFAULT_PROFILE": "nobody",
        "AWS_ENDPOINT_URL": EVIL,
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": EVIL,
        "AWS_ENDPOINT_URL_STS": EVIL,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
        "AWS_REGION": "us-west-1",
        "AWS_DEFAULT_REGION": "us-west-1",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "AWS_STS_REGIONAL_ENDPOINTS": "legacy",
        "AWS_ACCESS_KEY_ID": "AKIAOFTHEENVIRONMENT",
        "AWS_SECRET_ACCESS_KEY": "of-the-environment",
        "AWS_BEARER_TOKEN_SECRETS_MANAGER": "of-the-environment",
        "AWS_AUTH_SCHEME_PREFERENCE": "httpBearerAuth",
        "AWS_CA_BUNDLE": "/nowhere",
        "REQUESTS_CA_BUNDLE": "/nowhere",
        "AWS_MAX_ATTEMPTS": "9",
        "AWS_RETRY_MODE": "legacy",
        "AWS_DEFAULTS_MODE": "mobile",
        "AWS_CSM_ENABLED": "true",
        "AWS_EXECUTION_ENV": "evil",
        "AWS_LAMBDA_FUNCTION_NAME": "evil",
        "_X_AMZN_TRACE_ID": "evil",
        "BOTOCORE_EXPERIMENTAL__PLUGINS": "evil=evil_plugin",
        "SSLKEYLOGFILE": "/nowhere/keys",
        "HTTP_PROXY": EVIL,
        "HTTPS_PROXY": EVIL,
        "ALL_PROXY": EVIL,
        "http_proxy": EVIL,
        "https_proxy": EVIL,
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("hostile")
def test_neither_the_environment_nor_a_file_decides_anything(aws: Aws) -> None:
    asking = clients(aws)
    aws.secret("a", "value")
    with translated("reading"):
        found = asking.client("secretsmanager", ADMINS).get_secret_value(SecretId="a")
        asking.client("sts", ADMINS).get_caller_identity()
    assert found["SecretString"] == "value"
    called = aws.calls("GetSecretValue", "GetCallerIdentity")
    assert {each["access_key"] for each in called} == {ADMINS.access_key}
    assert {each["region"] for each in called} == {"eu-central-1"}
    assert {each["agent"].split()[0] for each in called} == {"brokerctl"}
    assert not any("evil" in each["agent"] for each in called)
    assert endpoint("secretsmanager") == "https://secretsmanager.eu-central-1.amazonaws.com"
    assert "evil_plugin" not in sys.modules


def test_all_who_have_the_same_keys_share_a_client() -> None:
    asking = Clients("cloud", Settings("eu-central-1"))
    found = asking.client("secretsmanager", ADMINS)
    assert asking.client("secretsmanager", Keys(*vars(ADMINS).values())) is found
    assert asking.client("sts", ADMINS) is not found
    assert asking.client("secretsmanager", DYING) is not found
    assert asking.client("sts") is asking.client("sts")


def test_an_unsigned_request_needs_no_keys(aws: Aws) -> None:
    asking = clients(aws)
    with translated("logging in"):
        asking.client("sts").assume_role_with_web_identity(
            RoleArn="arn:aws:iam::123456789012:role/a",
            RoleSessionName="me",
            WebIdentityToken="eyJhbGciOiJub25lIn0.e30.",
        )
    assert aws.calls("AssumeRoleWithWebIdentity")[0]["access_key"] == ""


def test_dead_credentials_are_not_kept() -> None:
    clock = Clock()
    asking = Clients("cloud", Settings("eu-central-1"), clock)
    asking.client("secretsmanager", DYING)
    asking.client("secretsmanager", ADMINS)
    clock.now = 2000.0
    asking.client("sts", ADMINS)
    assert [keys for _, keys in asking._clients] == [ADMINS, ADMINS]


def test_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brokerd.backends.aws.clients._MOST", 2)
    asking = Clients("cloud", Settings("eu-central-1"))
    for number in range(3):
        asking.client("sts", Keys(f"ASIA{number}", "secret", None, None))
        asking.client("sts", ADMINS)
    assert {keys.access_key for _, keys in asking._clients if keys} == {"ASIA2", ADMINS.access_key}


def test_botocore_logs_no_secret_even_where_everything_is_logged(
    aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)  # of the root
    aws.secret("a", "the-value-of-a-secret")
    with translated("reading"):
        clients(aws).client("secretsmanager", ADMINS).get_secret_value(SecretId="a")
    assert "the-value-of-a-secret" not in caplog.text


def test_nothing_of_botocores_own_connections_is_used(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    session: Any = importlib.import_module("botocore.httpsession")
    monkeypatch.setattr(session.URLLib3Session, "send", lambda *_: pytest.fail("it is used"))
    with translated("asking"):
        clients(aws).client("sts", ADMINS).get_caller_identity()
