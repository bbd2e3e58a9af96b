"""Runs an AWS on loopback: moto's server in a process of its own, that fails when it is told to.

`aws_faults` has what can go wrong. Unlike moto alone, it keeps to session policies, ends the
credentials that it gave out when told, and rotates secrets. It takes any token of an identity: look
at `Aws.calls` for what it was given.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import urllib3

from tests.support.aws_faults import Fault
from tests.support.daemon import REPOSITORY

REGION = "eu-central-1"
ACCOUNT = "123456789012"
ADMIN = "AKIAADMINADMINADMIN1", "the-secret-key-of-an-admin"


class Aws:
    """A server that runs.

    Attributes:
        url: Where every service of it is.
        endpoints: The same, as a backend's table has it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.endpoints = dict.fromkeys(("secretsmanager", "sts"), url)
        self._pool = urllib3.PoolManager()
        self._admin = {name: self.client(name) for name in self.endpoints}

    def close(self) -> None:
        """Leave it."""
        for client in self._admin.values():
            client.close()
        self._pool.clear()

    def client(self, service: str, keys: tuple[str, ...] = ADMIN) -> Any:
        """Return a client of botocore for one of its services."""
        session: Any = importlib.import_module("botocore.session")  # slow; and it carries no types
        config: Any = importlib.import_module("botocore.config")
        return session.Session().create_client(
            service,
            REGION,
            endpoint_url=self.url,
            aws_access_key_id=keys[0],
            aws_secret_access_key=keys[1],
            aws_session_token=keys[2] if keys[2:] else None,
            config=config.Config(proxies={}, retries={"total_max_attempts": 1}),
        )

    def _tell(self, what: str, told: object = None) -> Any:
        answer = self._pool.request("POST", f"{self.url}/_control/{what}", body=json.dumps(told))
        assert answer.status == 200, answer.data
        return answer.json()

    def reset(self) -> None:
        """Forget every secret, session, call and fault."""
        self.fail()  # or what is to go wrong would befall the next line
        assert self._pool.request("POST", f"{self.url}/moto-api/reset").status == 200
        self._tell("forget")

    def fail(self, *faults: Fault) -> None:
        """Let these happen from now on, the first that fits each request; none makes it well."""
        self._tell("faults", [asdict(each) for each in faults])

    def expire(self) -> None:
        """End all credentials that it gave out so far."""
        self._tell("expire")

    def calls(self, *actions: str) -> list[dict[str, Any]]:
        """Return every request so far, as `aws_call.Call` has it; those of some actions only."""
        found = self._tell("calls")
        return [each for each in found if not actions or each["action"] in actions]

    def secret(self, name: str, value: str | bytes) -> str:
        """Make a secret; return its ARN."""
        made = self._admin["secretsmanager"].create_secret(Name=name, **_content(value))
        return str(made["ARN"])

    def put(self, name: str, value: str | bytes, *stages: str) -> str:
        """Put another version there; return its id. It is AWSCURRENT if no stages are given."""
        more = {"VersionStages": list(stages)} if stages else {}
        put = self._admin["secretsmanager"].put_secret_value
        return str(put(SecretId=name, **_content(value), **more)["VersionId"])

    def version(self, name: str, stage: str = "AWSCURRENT") -> str:
        """Return the id of the version that has a stage."""
        get = self._admin["secretsmanager"].get_secret_value
        return str(get(SecretId=name, VersionStage=stage)["VersionId"])

    def move(self, name: str, stage: str, version: str) -> None:
        """Give a stage to another version."""
        self._admin["secretsmanager"].update_secret_version_stage(
            SecretId=name,
            VersionStage=stage,
            MoveToVersionId=version,
            RemoveFromVersionId=self.version(name, stage),
        )

    def delete(self, name: str) -> None:
        """Schedule a secret for deletion."""
        self._admin["secretsmanager"].delete_secret(SecretId=name, RecoveryWindowInDays=7)

    def rotates(self, name: str, value: str) -> None:
        """Let a secret be rotated once, to a value that `finish` then makes current."""
        self._tell("rotates", {"region": REGION, "name": name, "value": value})

    def begin(self, name: str, value: str) -> str:
        """Begin a rotation, as if by its schedule; return the version that is pending."""
        self.rotates(name, value)
        rotate, token = self._admin["secretsmanager"].rotate_secret, str(uuid.uuid4())
        return str(rotate(SecretId=name, ClientRequestToken=token)["VersionId"])

    def finish(self, name: str) -> None:
        """Let a rotation's pending version become the current one."""
        self.move(name, "AWSCURRENT", self.version(name, "AWSPENDING"))

    def give_up(self, name: str) -> None:
        """Let a rotation fail: its pending version loses the stage."""
        self._admin["secretsmanager"].update_secret_version_stage(
            SecretId=name,
            VersionStage="AWSPENDING",
            RemoveFromVersionId=self.version(name, "AWSPENDING"),
        )


def role(name: str) -> str:
    """Return the ARN of a role; anybody may take it on."""
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


@contextmanager
def aws_server() -> Generator[Aws]:
    """Run a server; it ends with the block, or with this process."""
    with (
        tempfile.TemporaryDirectory(prefix="aws-") as folder,
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.aws_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=REPOSITORY,
            env={"HOME": folder},
        ) as process,
    ):
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, "moto's server did not start"
        aws = Aws(url)
        try:
            yield aws
        finally:
            aws.close()
            process.kill()


def _content(value: str | bytes) -> dict[str, str | bytes]:
    return {"SecretString" if isinstance(value, str) else "SecretBinary": value}
