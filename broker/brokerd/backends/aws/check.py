"""What does AWS allow our login, and what of that is missing, or too much?

It reads no secret.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from brokerd.backends.aws.answers import PROXY_HINT, KeysOver
from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.policies import Policies
from brokerd.backends.aws.reading import Reading
from brokerd.backends.aws.simulation import Simulation
from brokerd.backends.aws.stages import Stages
from brokerd.backends.aws.terms import StaticTerms, StsTerms, Terms
from brokerd.backends.people import Finding
from brokerd.backends.reply import text
from brokershim.errors import BackendRefused, SecretNotFound, ServerDown

_READ, _DESCRIBE = "secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"
_NEEDED = (_DESCRIBE, _READ)
_KEY = "the key itself"
_USEFUL = ("secretsmanager:RotateSecret",)
_TOO_MUCH = (
    "secretsmanager:DeleteSecret",
    "secretsmanager:PutResourcePolicy",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecret",
    "secretsmanager:UpdateSecretVersionStage",
)
_EVERYWHERE = (_READ, "secretsmanager:ListSecrets", "sts:AssumeRole")
_ASSUME = "sts:AssumeRole"
_SESSION = re.compile(
    r"arn:(?P<partition>[^:]+):sts::(?P<account>\d+):assumed-role/(?P<name>[^/]+)/.+"
)


class Checks:
    """Looks at what a login may do.

    Args:
        roles: Asks AWS.
        reading: Asks Secrets Manager.
        policies: Narrows its sessions.
        terms: The configured secrets.
    """

    def __init__(
        self, roles: Roles, reading: Reading, policies: Policies, terms: Sequence[Terms]
    ) -> None:
        self._roles, self._reading, self._policies = roles, reading, policies
        self._terms = terms

    def make(self) -> list[Finding]:
        """Return what is allowed for each secret, and besides; raises as `Roles.call`."""
        # First: where there is no role, none of the questions below is what is refused.
        self._roles.keys(self._policies.checking())
        who = self._roles.role or self._who()
        # Before IAM, which may take all the time that is left, in vain.
        places = [(each, self._place(each)) for each in self._terms]
        simulation = Simulation(self._roles, self._policies.checking(), who)
        findings = [
            place if isinstance(place, Finding) else _told(simulation, each, place)
            for each, place in places
        ]
        besides = simulation.allowed(_EVERYWHERE, "*")
        if besides:
            hint = "name the secrets' ARNs as the Resource of its policy"
            findings.append(Finding("", "*", besides, beyond=besides, hint=hint))
        return findings

    def _place(self, terms: Terms) -> str | Finding:
        """Return what is asked about for a secret; or the finding that settles it."""
        if isinstance(terms, StsTerms):
            return terms.role_arn
        name, path = terms.secret.name, terms.secret_id
        try:
            return self._arn(terms)
        except KeysOver:
            raise
        except BackendRefused:
            return Finding(name, path, lacks=(_DESCRIBE,), hint=_allow([_DESCRIBE], path))
        except SecretNotFound as error:
            return Finding(name, path, lacks=(_KEY,), hint=f"{error.message}: {error.hint}")

    def _arn(self, terms: StaticTerms) -> str:
        """Return the ARN of a secret that has what is wanted of it; raises as `Stages.wanted`."""
        answer = self._reading.description(terms)
        arn = text(answer, "ARN")
        if not arn:
            raise ServerDown(f"the answer for {terms.secret.name} has no ARN", hint=PROXY_HINT)
        Stages(terms, answer).wanted()
        return arn

    def _who(self) -> str:
        """Return the ARN of the role or user that is logged in (STS, "GetCallerIdentity")."""
        answer: object = self._roles.call(
            "sts", lambda client: client.get_caller_identity(), "asking who is logged in"
        )
        arn = text(answer, "Arn")
        if not arn:
            raise ServerDown("AWS does not say who is logged in")
        found = _SESSION.fullmatch(arn)
        if found is None:
            return arn
        return f"arn:{found['partition']}:iam::{found['account']}:role/{found['name']}"


def _told(simulation: Simulation, terms: Terms, arn: str) -> Finding:
    made = isinstance(terms, StsTerms)
    needed, more = ((_ASSUME,), ()) if made else (_NEEDED, (*_USEFUL, *_TOO_MUCH))
    has = simulation.allowed((*needed, *more), arn)
    if has is not None:
        return _finding(terms.secret.name, arn, has, needed)
    return Finding(terms.secret.name, arn, () if made else (_DESCRIBE,), hint=simulation.untold)


def _finding(name: str, path: str, has: tuple[str, ...], needed: tuple[str, ...]) -> Finding:
    lacks = tuple(each for each in needed if each not in has)
    beyond = tuple(each for each in _TOO_MUCH if each in has)
    hint = ""
    if lacks:
        hint = _allow(lacks, path)
    elif beyond:
        hint = f"enough is: {', '.join(needed)}"
    return Finding(name, path, has, lacks, beyond, hint)


def _allow(actions: Sequence[str], path: str) -> str:
    return f"allow {', '.join(actions)} on {path}, in the policy of its role"
