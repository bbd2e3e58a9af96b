"""What must a way to have credentials at AWS be able to do?"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Protocol, TypeGuard


@dataclass(frozen=True)
class Keys:
    """Credentials of AWS. Their repr shows no secret.

    Attributes:
        access_key: Names them; not secret, though nobody's business.
        secret_key: Signs.
        session_token: Goes along with each request; None with those of a user, which never die.
        expires_at: When they die, in seconds of `brokershim.clock.now`; None if never.
        arn: Whose they are, as far as is known; else empty.
    """

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(repr=False)
    expires_at: float | None
    arn: str = ""


class Source(Protocol):
    """One way to have the first credentials, before any role of a chain is taken on.

    Each module of these has ``build(name, table, identities, clients) -> Source``.
    """

    @property
    def kind(self) -> str:
        """Its name in config.toml, such as ``web-identity``."""
        ...

    def revision(self) -> Hashable:
        """Return what changes whenever it may be somebody else; neither blocks nor raises."""
        ...

    def keys(self) -> Keys:
        """Return credentials with some life left, asked for anew: `chain.Roles` keeps them.

        Raises:
            BackendRefused: AWS knows the proof, and does not take it.
            LoginRequired: A person has to log in first.
            IdentityUnavailable: This machine has nothing to log in with.
            BrokerError: As `Identity.token`, and what AWS says.
        """
        ...


class ScopingSource(Source, Protocol):
    """One that takes on a role itself, and so can have a session that may do less."""

    @property
    def role_arn(self) -> str:
        """That role."""
        ...

    def scoped(self, policy: str) -> Keys:
        """Return credentials that may do what a session policy allows, too, and no more.

        Args:
            policy: JSON (STS, AssumeRole, ``Policy``).

        Raises:
            BrokerError: As `keys`.
        """
        ...


def scopes(source: Source) -> TypeGuard[ScopingSource]:
    """Return whether it is a `ScopingSource`."""
    return hasattr(source, "scoped")
