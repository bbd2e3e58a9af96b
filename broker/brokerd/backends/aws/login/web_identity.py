"""How does an identity's token become credentials? (STS, AssumeRoleWithWebIdentity.)"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from brokerd.backends.aws import settings
from brokerd.backends.aws.answers import KeysOver
from brokerd.backends.aws.assumed import keys_of, session_name, user
from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.faults import translated
from brokerd.backends.aws.login.base import Keys
from brokerd.identities.base import Identity
from brokerd.kinds import identity_of
from brokerd.table import Table
from brokershim import clock
from brokershim.errors import IdentityExpired

_AUDIENCE = "sts.amazonaws.com"


@dataclass(frozen=True)
class WebIdentity:
    """Takes on a role with a token of an identity, a new one each time: no key of AWS anywhere.

    Attributes:
        identity: Whose.
        audience: Whom it is for.
        role_arn: The role.
        clients: Asks STS; the request is not signed.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    identity: Identity
    audience: str
    role_arn: str
    clients: Clients = field(repr=False)
    now: Callable[[], float] = clock.now
    kind: str = "web-identity"

    def revision(self) -> Hashable:
        """Return the identity's: the credentials are of who was logged in to that."""
        return self.identity.revision()

    def keys(self) -> Keys:
        """Take on the role; raises as `Source.keys`."""
        return self._assume({})

    def scoped(self, policy: str) -> Keys:
        """Take on the role, to do less; raises as `Source.keys`."""
        return self._assume({"Policy": policy})

    def _assume(self, more: Mapping[str, Any]) -> Keys:
        proof = self.identity.token(self.audience)
        what = f"taking on {self.role_arn} as {self.identity.name}"
        try:
            with translated(what, secrets=(proof.value,)):
                answer: object = self.clients.client("sts").assume_role_with_web_identity(
                    RoleArn=self.role_arn,
                    RoleSessionName=session_name(self.clients.name, user()),
                    WebIdentityToken=proof.value,
                    DurationSeconds=int(self.clients.settings.duration),
                    **more,
                )
        except KeysOver:
            raise IdentityExpired(f"{what}: AWS takes the identity's token for over") from None
        return keys_of(what, answer, self.now)


def build(
    name: str,  # noqa: ARG001 - as of every login
    table: Table,
    identities: Mapping[str, Identity],
    clients: Clients,
) -> WebIdentity:
    """Return the login that a table with ``login = "web-identity"`` describes.

    Raises:
        ConfigError: It names no identity, or no role.
    """
    return WebIdentity(
        identity=identity_of(table, identities),
        audience=table.optional_text("audience") or _AUDIENCE,
        role_arn=settings.role(table, table.text("role_arn")),
        clients=clients,
    )
