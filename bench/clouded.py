"""Where is a key of AWS measured? At moto's server, which stands in for Secrets Manager and STS."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Generator
from dataclasses import dataclass

from bench.home import HOST, KEY, home_in_memory
from demo.home import Home
from tests.support.aws import REGION, Aws, aws_server, role
from tests.support.jwks import Issuer

SECRET = "openai/bench"  # noqa: S105  (a name)
SECRET_ID = "prod/openai"  # noqa: S105  (a name)
_AUDIENCE = "sts.amazonaws.com"
_CONFIG = """
[identity.bench]
kind = "file"
path = "{token}"
[backend.cloud]
kind = "aws"
region = "{region}"
login = "web-identity"
identity = "bench"
role_arn = "{role}"
endpoints = {{secretsmanager = "{url}", sts = "{url}"}}
[secret."{secret}"]
backend = "cloud"
secret_id = "{id}"
hosts = ["{host}"]
"""
_POLICY = '[[grant]]\nsecrets = ["*"]\nunsafe_any_session = true\n'


@dataclass
class Scene:
    """What is measured, and what it is measured against.

    Attributes:
        home: Where the broker runs.
        aws: The server.
    """

    home: Home
    aws: Aws

    @property
    def socket(self) -> str:
        """Where the broker listens."""
        return os.path.join(self.home.root, "run", "brokerctl", "broker.sock")


@contextlib.contextmanager
def scene() -> Generator[Scene]:
    """Start a server with the secret, and a broker that has it from there."""
    with home_in_memory() as home, aws_server() as aws, Issuer() as issuer:
        aws.secret(SECRET_ID, KEY)
        now = int(time.time())
        claims = {"sub": "bench", "iat": now, "nbf": now, "exp": now + 3600}
        values = {"token": home.write("token", issuer.issue(_AUDIENCE, claims)), "url": aws.url}
        names = {"secret": SECRET, "id": SECRET_ID, "host": HOST}
        config = _CONFIG.format(**values, **names, region=REGION, role=role("bench"))
        home.write(".config/brokerctl/config.toml", config)
        home.write(".config/brokerctl/policy.toml", _POLICY)
        done = home.run("brokerctl daemon start")
        if done.status != 0:
            raise RuntimeError(done.stderr)
        yield Scene(home, aws)
