"""Which version of a secret has which label? (Pure.)

AWSCURRENT is on the version that is in use, AWSPREVIOUS on the one before, AWSPENDING on the one
that a rotation is just making, which may hold no key yet, or one that nothing takes yet (Secrets
Manager User Guide, "Rotation by Lambda function"). A label moves; a version's id and key stay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from brokerd.backends.aws.terms import CURRENT, StaticTerms
from brokerd.backends.reply import part, text
from brokershim.errors import SecretDeleted, SecretNotFound

PENDING, _PREVIOUS = "AWSPENDING", "AWSPREVIOUS"
_FUNCTION = re.compile(
    r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]{1,64}(:[A-Za-z0-9_-]{1,128})?"
)
"""A whole ARN, as it goes into a session policy: a ``*`` there would be every function."""


class Stages:
    """The labels of one secret, as DescribeSecret tells them.

    Args:
        terms: The secret.
        answer: What DescribeSecret answers.

    Raises:
        SecretDeleted: It is marked for deletion.
    """

    def __init__(self, terms: StaticTerms, answer: Mapping[str, Any]) -> None:
        if answer.get("DeletedDate") is not None:
            raise SecretDeleted(
                f"{terms.secret.name} ({terms.secret_id}) is marked for deletion",
                hint="`aws secretsmanager restore-secret` brings it back, until its last day",
            )
        self._terms = terms
        versions = part(answer, "VersionIdsToStages")
        self._labels = {version: labels_of(each) for version, each in versions.items()}
        self.rotates = answer.get("RotationEnabled") is True
        function = _FUNCTION.fullmatch(text(answer, "RotationLambdaARN"))
        self.function = function and function[0]

    def of(self, version: str) -> frozenset[str]:
        """Return the labels of a version; none where it has none, or is not there."""
        return self._labels.get(version, frozenset())

    def version_at(self, stage: str) -> str | None:
        """Return the version that has a label."""
        return next((each for each, labels in self._labels.items() if stage in labels), None)

    def wanted(self) -> str:
        """Return the version that is the key.

        Raises:
            SecretNotFound: None has the label.
        """
        if self._terms.version_id is not None:
            return self._terms.version_id
        stage = self._terms.stage or CURRENT
        found = self.version_at(stage)
        if found is None:
            raise SecretNotFound(
                f"no version of {self._terms.secret.name} ({self._terms.secret_id}) is labelled "
                f"{stage}",
                hint="see `aws secretsmanager describe-secret`, and `stage` in config.toml",
            )
        return found

    def successor(self, version: str) -> str | None:
        """Return the version that has taken the place of another; None where none has.

        Either may lag behind, what is read or what is told of it: only where a version is known
        here as the one before is it surely not the current one any more.
        """
        if self._terms.is_pinned or _PREVIOUS not in self.of(version):
            return None
        return self.version_at(CURRENT)

    def pending(self) -> str | None:
        """Return the version that a rotation is making now; None where there is no rotation."""
        found = self.version_at(PENDING)
        return None if found is None or CURRENT in self.of(found) else found


def labels_of(found: object) -> frozenset[str]:
    """Return the labels that an answer lists; none where it lists none."""
    entries = cast("list[object]", found) if isinstance(found, list) else []
    return frozenset(each for each in entries if isinstance(each, str))
