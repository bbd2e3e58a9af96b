"""Which session policy allows what one request needs, and nothing else? (Pure.)

A session may do what both its role and this policy allow (IAM User Guide, "Session policies"), so
that whoever gets hold of its credentials has that much, and no more of the role.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from brokerd.backends.aws.terms import MAX_POLICY, is_arn


def resource(secret_id: str, region: str) -> str:
    """Return what a policy calls a secret.

    The ARN of one that goes by its name ends with six characters that Secrets Manager draws, and a
    name leads to a secret of one's own account only.
    """
    if is_arn(secret_id):
        return secret_id
    return f"arn:*:secretsmanager:{region}:*:secret:{secret_id}-??????"


class Policies:
    """Writes session policies.

    Args:
        region: Where the secrets are.
        scope: Whether sessions are narrowed at all; each policy is None if not.
    """

    def __init__(self, region: str, scope: bool) -> None:
        self._region, self._scope = region, scope

    def reading(self, secret_ids: Sequence[str]) -> str | None:
        """Return the policy of a session that reads some secrets.

        Args:
            secret_ids: Their names or ARNs.
        """
        # In order, so that the same secrets are read by the same session, whichever came first.
        resources = sorted(resource(each, self._region) for each in secret_ids)
        statements = [
            _allow(["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"], resources),
            # Of a customer's own key: only as Secrets Manager uses it, for what it gives out above.
            _allow(["kms:Decrypt"], "*") | self._through_secrets_manager(),
        ]
        if len(resources) > 1:  # it is of no resource, and gives nothing that is not allowed above
            statements.append(_allow(["secretsmanager:BatchGetSecretValue"], "*"))
        return self._written(statements)

    def rotating(self, secret_id: str, function: str | None) -> str | None:
        """Return the policy of a session that asks for a rotation.

        Args:
            secret_id: The secret's name or ARN.
            function: The ARN of the Lambda function that rotates it; None where AWS itself does.
        """
        statements = [_allow(["secretsmanager:RotateSecret"], [resource(secret_id, self._region)])]
        if function is not None:
            statements.append(_allow(["lambda:InvokeFunction"], [function]))
        return self._written(statements)

    def assuming(self, role_arn: str) -> str | None:
        """Return the policy of a session that takes on one role.

        Args:
            role_arn: The role's ARN.
        """
        actions = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
        return self._written([_allow(actions, [role_arn])])

    def checking(self) -> str | None:
        """Return the policy of a session that asks what its role may do, and does none of it."""
        return self._written([_allow(["iam:SimulatePrincipalPolicy"], "*")])

    def fit(self, secret_ids: Sequence[str]) -> bool:
        """Return whether one policy can be about so many secrets."""
        policy = self.reading(secret_ids)
        return policy is None or len(policy) <= MAX_POLICY

    def _through_secrets_manager(self) -> dict[str, object]:
        return {"Condition": {"StringLike": {"kms:ViaService": f"secretsmanager.{self._region}.*"}}}

    def _written(self, statements: list[dict[str, object]]) -> str | None:
        if not self._scope:
            return None
        policy = {"Version": "2012-10-17", "Statement": statements}
        return json.dumps(policy, separators=(",", ":"))


def _allow(actions: list[str], resources: list[str] | str) -> dict[str, object]:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}
