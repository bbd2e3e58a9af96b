"""What may a role do, as IAM's own simulation of its policies tells?

The role may have to be allowed to ask that of itself, and not every network leads to IAM (IAM API
Reference, "SimulatePrincipalPolicy").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from brokerd.backends.aws.answers import KeysOver
from brokerd.backends.aws.chain import Roles
from brokerd.backends.reply import part, text
from brokershim.errors import BackendRefused, BackendTimeout, NotFound, ServerDown

_SIMULATE = "iam:SimulatePrincipalPolicy"
_REFUSED = (
    f"allow {_SIMULATE} on its own role to see it here (but for a role of Identity Center, which "
    "AWS does not find by its session)"
)


class Simulation:
    """Tells what a role or user may do. For one check, by one thread.

    Args:
        roles: Asks AWS.
        scope: The policy of the session that asks; None for that of the login.
        who: Its ARN.

    Attributes:
        untold: Why nothing more is told, and what to do; empty as long as it is.
    """

    def __init__(self, roles: Roles, scope: str | None, who: str) -> None:
        self._roles, self._scope, self._who = roles, scope, who
        self.untold = ""

    def allowed(self, actions: Sequence[str], resource: str) -> tuple[str, ...] | None:
        """Return which actions are allowed, in order; None where that cannot be told.

        Raises:
            KeysOver: The login is over.
            BrokerError: As `Roles.call`, but where IAM refuses, or cannot be asked: it is not asked
                again then.
        """
        if self.untold:
            return None
        try:
            return tuple(sorted(_decided(self._asked(actions, resource))))
        except KeysOver:
            raise
        except (BackendRefused, NotFound):
            self.untold = f"nobody knows before the first lease: {_REFUSED}"
        except (ServerDown, BackendTimeout) as error:
            self.untold = f"nobody knows before the first lease: {error.message}"
        return None

    def _asked(self, actions: Sequence[str], resource: str) -> Mapping[str, Any]:
        answer: object = self._roles.call(
            "iam",
            lambda client: client.simulate_principal_policy(
                PolicySourceArn=self._who, ActionNames=list(actions), ResourceArns=[resource]
            ),
            f"asking what {self._who} may do",
            scope=self._scope,
            missing=NotFound,
        )
        return part(answer)


def _decided(answer: Mapping[str, Any]) -> list[str]:
    found: object = answer.get("EvaluationResults")
    entries = cast("list[object]", found) if isinstance(found, list) else []
    allowed = [each for each in entries if text(each, "EvalDecision") == "allowed"]
    return [text(each, "EvalActionName") for each in allowed]
