"""How is Secrets Manager asked for another key, and when is that in use?

    RotateSecret ──> AWSPENDING is on the new version ──> the rotation function makes and tries it
        ──> AWSCURRENT is on it

(Secrets Manager API Reference, "RotateSecret"; User Guide, "Rotation by Lambda function".)
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable

from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.policies import Policies
from brokerd.backends.aws.reading import Reading
from brokerd.backends.aws.stages import PENDING, Stages
from brokerd.backends.aws.terms import CURRENT, StaticTerms
from brokershim import clock
from brokershim.errors import BackendRefused

_SETTLE_SECONDS = 15.0
"""DescribeSecret may not know at once what RotateSecret has just begun."""
_LOGS = "see the logs of the secret's rotation function (CloudWatch)"


class Rotations:
    """Asks for rotations, and how they go. For use by any number of threads.

    Args:
        roles: Asks AWS.
        reading: Tells the labels.
        policies: Narrows its sessions.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    def __init__(
        self,
        roles: Roles,
        reading: Reading,
        policies: Policies,
        now: Callable[[], float] = clock.now,
    ) -> None:
        self._roles, self._reading, self._policies, self._now = roles, reading, policies, now
        self._lock = threading.Lock()
        self._asked_at: dict[str, float] = {}

    def begin(self, terms: StaticTerms) -> str:
        """Ask for a newer key, or join the rotation that is under way; return its version.

        Raises:
            BackendRefused: It may not be asked for, nothing there rotates the secret, or its table
                names a version or a label that a rotation does not change.
            BrokerError: As `Reading.description`.
        """
        if terms.is_pinned:
            raise BackendRefused(
                f"config.toml names one version of {terms.secret.name}: a rotation changes nothing",
                hint="take `version_id` and `stage` out of its table",
            )
        stages = self._stages(terms)
        if not stages.rotates:
            raise BackendRefused(
                f"nothing at AWS rotates {terms.secret.name} ({terms.secret_id})",
                hint="configure its rotation there, or write a new version yourself",
            )
        return stages.pending() or self._ask(terms, stages.function)

    def is_done(self, terms: StaticTerms, version: str) -> bool:
        """Return whether a version is in use now.

        Raises:
            BackendRefused: It will not be: the rotation was given up, or there was another since.
            BrokerError: As `Reading.description`.
        """
        labels = self._stages(terms).of(version)
        if CURRENT in labels:
            return True
        if PENDING in labels or (not labels and self._is_new(version)):
            return False
        raise BackendRefused(
            f"the rotation of {terms.secret.name} has failed, or there was another since",
            hint=_LOGS,
        )

    def _ask(self, terms: StaticTerms, function: str | None) -> str:
        # The token becomes the version's id, and makes one rotation of a request that is repeated.
        version = str(uuid.uuid4())
        self._roles.call(
            "secretsmanager",
            lambda client: client.rotate_secret(
                SecretId=terms.secret_id, ClientRequestToken=version
            ),
            f"rotating {terms.secret.name} ({terms.secret_id})",
            scope=self._policies.rotating(terms.secret_id, function),
        )
        with self._lock:  # another rotation may have been asked for at the same time
            recent = {each: at for each, at in self._asked_at.items() if self._is_new(each)}
            self._asked_at = {**recent, version: self._now()}
        return version

    def _stages(self, terms: StaticTerms) -> Stages:
        return Stages(terms, self._reading.description(terms))

    def _is_new(self, version: str) -> bool:
        return self._now() - self._asked_at.get(version, float("-inf")) < _SETTLE_SECONDS
