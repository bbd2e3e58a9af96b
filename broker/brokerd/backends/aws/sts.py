"""How are credentials of AWS made for one lease, and whom does CloudTrail show behind them?

The name of their session and its tags say which process they were made for. Nothing at AWS ends
them before their time, so they are short, and no two leases share any.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from brokerd.backends.aws.assumed import session_name, user
from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.terms import StsTerms
from brokerd.model import BoundedBy, Credential, Whom
from brokershim import clock
from brokershim.errors import BackendRefused

_TAG_SESSION = "sts:TagSession"
_FOREIGN = re.compile(r"[^\w .:/=+@-]")
_LONGEST_TAG = 256
_log = logging.getLogger(__name__)


class StsCredentials:
    """Credentials that STS makes. For use by any number of threads.

    Args:
        roles: Asks STS, logged in.
        now: The time, in seconds of `brokershim.clock.now`.
        wall: The wall clock, in seconds since 1970.
    """

    def __init__(
        self,
        roles: Roles,
        now: Callable[[], float] = clock.now,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._roles, self._now, self._wall = roles, now, wall
        self._without_tags: set[str] = set()

    def make(self, terms: StsTerms, whom: Whom) -> Credential:
        """Return credentials that nobody had before.

        Args:
            terms: Of which role, and how narrow.
            whom: Whom they are for.

        Raises:
            BackendRefused: The role may not be taken on.
            BrokerError: As `Roles.taken_on`.
        """
        asked_at = self._now()
        keys = self._had(terms, whom)
        ends = asked_at + terms.duration
        ends = ends if keys.expires_at is None else min(ends, keys.expires_at)
        return Credential(
            self._value(keys, ends),
            hashlib.sha256(keys.access_key.encode()).hexdigest()[:16],
            BoundedBy.PROVIDER,
            expires_at=ends,
        )

    def _had(self, terms: StsTerms, whom: Whom) -> Keys:
        """Take on the role; without tags where it does not let its sessions have any."""
        if terms.role_arn not in self._without_tags:
            try:
                return self._taken_on(terms, whom, tags_of(whom))
            except BackendRefused as error:
                if error.details.get("action") != _TAG_SESSION:
                    raise
            # Not again until the daemon starts anew: each refusal is an alarm in CloudTrail.
            self._without_tags.add(terms.role_arn)
            _log.warning(
                "sessions of %s carry no tags: it does not allow %s", terms.role_arn, _TAG_SESSION
            )
        return self._taken_on(terms, whom, {})

    def _taken_on(self, terms: StsTerms, whom: Whom, tags: Mapping[str, str]) -> Keys:
        name = session_name(whom.session, str(whom.pid))
        return self._roles.taken_on(terms.role_arn, name, tags, terms.policy, terms.duration)

    def _value(self, keys: Keys, ends: float) -> bytes:
        """Return credentials as ``credential_process`` prints them (AWS CLI User Guide)."""
        at = datetime.fromtimestamp(int(self._wall() + ends - self._now()), UTC)
        document = {
            "Version": 1,
            "AccessKeyId": keys.access_key,
            "SecretAccessKey": keys.secret_key,
            "SessionToken": keys.session_token,
            "Expiration": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        return json.dumps(document, separators=(",", ":")).encode()


def tags_of(whom: Whom) -> dict[str, str]:
    """Return the tags of a session (STS API Reference, "AssumeRole", Tags).

    What a tag cannot hold becomes an underscore, and of a long path the end is kept.
    """
    said = {
        "user": user(),
        "session": whom.session,
        "program": whom.program,
        "project": whom.project,
    }
    return {
        f"brokerctl:{name}": _FOREIGN.sub("_", value)[-_LONGEST_TAG:]
        for name, value in said.items()
        if value
    }
