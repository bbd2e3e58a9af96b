"""Where does moto's Secrets Manager differ from the vendor's, and what is done about it?

- A batch, or a read without a stage, gives the version that was put last, whatever its stage.
- A rotation needs a Lambda function; here the test is that function, in two steps.
"""

from __future__ import annotations

import json
from typing import Any

from moto.secretsmanager.models import secretsmanager_backends
from werkzeug.wrappers import Response

from tests.support.aws_call import Call, error

ACCOUNT = "123456789012"
_NONE = "arn:aws:secretsmanager:{}:{}:secret:{}-000000"


class Rotations:
    """What a secret's next rotation puts there as AWSPENDING."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def expect(self, region: str, name: str, value: str) -> None:
        """Let a secret be rotated, and to what."""
        self._values[name] = value
        secret: Any = secretsmanager_backends[ACCOUNT][region].secrets.get(name)
        secret.rotation_requested = secret.rotation_enabled = True
        secret.rotation_lambda_arn = f"arn:aws:lambda:{region}:{ACCOUNT}:function:rotator"
        for store in secretsmanager_backends[ACCOUNT].values():
            _rotate(store, name)

    def answer(self, call: Call) -> Response | None:
        """Begin the rotation that a call asks for; its function has the rest to do."""
        if call.action != "RotateSecret":
            return None
        store: Any = secretsmanager_backends[ACCOUNT][call.region]
        secret = store.secrets.get(call.params["SecretId"])
        if secret is None or secret.name not in self._values:
            message = "You must enable rotation, and configure a function for it, first."
            return error(call, "InvalidRequestException", message)
        version, value = call.params["ClientRequestToken"], self._values.pop(secret.name)
        store.put_secret_value(secret.secret_id, value, None, version, ["AWSPENDING"])
        body = {"ARN": secret.arn, "Name": secret.name, "VersionId": version}
        return Response(json.dumps(body), content_type="application/x-amz-json-1.1")


def _rotate(store: Any, name: str) -> None:
    """Let DescribeSecret say that a secret is rotated."""
    for secret in [each for each in store.secrets.values() if each.name == name]:
        secret.rotation_requested = secret.rotation_enabled = True


def mend(call: Call) -> None:
    """Let what is read without a stage be AWSCURRENT, once stages have moved."""
    if call.action not in {"PutSecretValue", "RotateSecret", "UpdateSecretVersionStage"}:
        return
    secret: Any = secretsmanager_backends[ACCOUNT][call.region].secrets.get(call.params["SecretId"])
    for version, held in secret.versions.items() if secret else ():
        if "AWSCURRENT" in held["version_stages"]:
            secret.set_default_version_id(version)


def arn(region: str, name: str) -> str:
    """Return a secret's ARN; for a name of none, one such as it would have."""
    secret: Any = secretsmanager_backends[ACCOUNT][region].secrets.get(name)
    if secret is not None:
        return str(secret.arn)
    return name if name.startswith("arn:") else _NONE.format(region, ACCOUNT, name)
