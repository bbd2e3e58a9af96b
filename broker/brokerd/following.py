"""What does a change of policy.toml put an end to?"""

from __future__ import annotations

import logging

from brokerd.audit.group import GroupCommit
from brokerd.ending import Endings, Reason
from brokerd.leases import Lease, LeaseTable
from brokerd.policy import Policy
from brokerd.policyfile import PolicyFile
from brokerd.sessions import SessionTable
from brokerd.stamp import Stamp
from brokershim.errors import AuditUnavailable, BrokerError, Denied

_log = logging.getLogger(__name__)


class Following:
    """Follows the policy as it changes.

    Args:
        policy: The file that people edit.
        leases: What was given.
        sessions: To whom.
        endings: Ends what is no longer granted.
        audit: Told of each change.
    """

    def __init__(
        self,
        policy: PolicyFile,
        leases: LeaseTable,
        sessions: SessionTable,
        endings: Endings,
        audit: GroupCommit,
    ) -> None:
        self._policy = policy
        self._leases = leases
        self._sessions = sessions
        self._endings = endings
        self._audit = audit
        self._seen = self._stamp()

    async def look(self) -> None:
        """End what the policy would not give, whenever it has changed, and write down that it has.

        Anyone of this user can edit it: at least nobody can do so unseen.
        """
        # The file's stamp and not the policy: what was changed and changed back between two looks
        # may have given a lease meanwhile.
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            policy = self._read()
            refused = [lease for lease in self._leases if not self._is_granted(policy, lease)]
            ended = self._endings.end(refused, Reason.POLICY)
            await self._note(policy, ended)

    def _stamp(self) -> Stamp | str:
        try:
            return self._policy.stamp()
        except BrokerError as error:
            return error.message

    def _read(self) -> Policy | None:
        try:
            return self._policy.current()
        except BrokerError:  # what cannot be understood grants nothing
            return None

    async def _note(self, policy: Policy | None, ended: int) -> None:
        grants = None if policy is None else len(policy.grants)
        try:
            await self._audit.record("policy.changed", grants=grants, leases=ended)
        except AuditUnavailable as error:
            _log.error("a new policy is not in the audit: %s", error)

    def _is_granted(self, policy: Policy | None, lease: Lease) -> bool:
        session = self._sessions.get(lease.session)
        if policy is None or session is None:
            return False
        try:
            policy.max_ttl(session.asker, lease.secret, lease.secret in session.approved)
        except Denied:
            return False
        return True
