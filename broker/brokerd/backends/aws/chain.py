"""Which credentials is AWS asked with: whose, through which roles, and for how long are they kept?

    login ──> role ──> role ──> … each one's session may be one that a policy narrows

Each step's credentials are kept for two thirds of their life. Whoever logs out, or in as somebody
else, has dropped them all.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, TypeVar

from brokerd.backends.aws.answers import KeysOver
from brokerd.backends.aws.assumed import keys_of, session_name, user
from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.faults import translated
from brokerd.backends.aws.held import Held
from brokerd.backends.aws.login.base import Keys, Source, scopes
from brokerd.backends.aws.policies import Policies
from brokershim import clock
from brokershim.errors import NotFound, SecretNotFound

_Result = TypeVar("_Result")


class Roles:
    """The credentials of one backend. For use by any number of threads.

    Args:
        source: Gives the first ones.
        clients: Asks STS for those of the roles that its settings name.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    def __init__(
        self, source: Source, clients: Clients, now: Callable[[], float] = clock.now
    ) -> None:
        self._source, self._clients, self._now = source, clients, now
        self._last = len(clients.settings.roles)
        self._policies = Policies(clients.settings.region, clients.settings.scope)
        self._held = Held(source.revision, now)

    @property
    def role(self) -> str | None:
        """The ARN of the role that is asked as; None where only AWS knows it.

        AWS tells it without its path (IAM User Guide, "IAM identifiers").
        """
        roles = self._clients.settings.roles
        if roles:
            return roles[-1]
        return self._source.role_arn if scopes(self._source) else None

    def revision(self) -> Hashable:
        """Return what changes with who is logged in; neither blocks nor raises."""
        return self._source.revision()

    def keys(self, scope: str | None = None) -> Keys:
        """Return credentials of the last role.

        Args:
            scope: A session policy in JSON that says what they may do at most; None for all that
                the role may.

        Raises:
            BackendUnavailable: They cannot be had now, or whoever is logged in changed meanwhile.
            BrokerError: As `Source.keys`, and as `faults.translated` says.
        """
        return self._at(self._last, scope)

    def call(
        self,
        service: str,
        work: Callable[[Any], _Result],
        what: str,
        *,
        scope: str | None = None,
        missing: type[NotFound] = SecretNotFound,
    ) -> _Result:
        """Return what some work with a service returns.

        Where the credentials turn out to be over, they are taken once more.

        Args:
            service: Such as ``secretsmanager``.
            work: Is given its client.
            what: What is done, and to what, for messages.
            scope: As with `keys`.
            missing: As with `faults.translated`.

        Raises:
            BrokerError: As `keys`, and as `faults.translated` says.
        """
        return self._with(self._last, scope, partial(self._asked, service, work, what, missing))

    def taken_on(
        self,
        role_arn: str,
        session_name: str,
        tags: Mapping[str, str],
        policy: str | None,
        duration: float,
    ) -> Keys:
        """Return the credentials of a session of a role that nobody had before.

        Args:
            role_arn: The role.
            session_name: What CloudTrail shows; see `assumed.session_name`.
            tags: The session's (STS, ``Tags``); they stay on, whichever role follows.
            policy: As ``scope`` of `keys`.
            duration: How long it lasts, in seconds.

        Raises:
            BrokerError: As `call`.
        """
        more: dict[str, Any] = {} if policy is None else {"Policy": policy}
        if tags:
            more["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
            more["TransitiveTagKeys"] = list(tags)
        more |= {"RoleSessionName": session_name, "DurationSeconds": int(duration)}
        return self._assumed(self._last, role_arn, more)

    def _with(self, step: int, scope: str | None, work: Callable[[Keys], _Result]) -> _Result:
        """Do some work with the credentials of a step, once more with new ones if they are over."""
        keys = self._at(step, scope)
        try:
            return work(keys)
        except KeysOver:
            self._held.forget(keys)
        return work(self._at(step, scope))

    def _asked(
        self,
        service: str,
        work: Callable[[Any], _Result],
        what: str,
        missing: type[NotFound],
        keys: Keys,
    ) -> _Result:
        with translated(what, missing):
            return work(self._clients.client(service, keys))

    def _at(self, step: int, scope: str | None) -> Keys:
        """Return the credentials after so many roles."""
        return self._held.get((step, scope), partial(self._taken, step, scope))

    def _taken(self, step: int, scope: str | None) -> Keys:
        if step > 0:
            return self._next(step, scope)
        if scope is not None and scopes(self._source):
            return self._source.scoped(scope)
        return self._source.keys()

    def _next(self, step: int, scope: str | None) -> Keys:
        """Take on the role of a step with the credentials of the one before."""
        settings = self._clients.settings
        more: dict[str, Any] = {
            "RoleSessionName": session_name(self._clients.name, user()),
            "DurationSeconds": int(settings.duration),
            "Policy": scope,
            "ExternalId": settings.external_id if step == self._last else None,
        }
        given = {name: value for name, value in more.items() if value is not None}
        return self._assumed(step - 1, settings.roles[step - 1], given)

    def _assumed(self, before: int, role_arn: str, more: Mapping[str, Any]) -> Keys:
        """Take on a role with credentials that may do that, and nothing else."""
        what, arguments = f"taking on {role_arn}", {"RoleArn": role_arn, **more}
        whose = self._clients.settings.source_identity
        if before == 0 and whose is not None:
            # It stays on through all roles that follow, and none of them can change it.
            arguments["SourceIdentity"] = whose

        def assume(sts: Any) -> object:
            return sts.assume_role(**arguments)

        work: Callable[[Keys], object] = partial(self._asked, "sts", assume, what, SecretNotFound)
        scope = self._policies.assuming(role_arn)
        return keys_of(what, self._with(before, scope, work), self._now)
