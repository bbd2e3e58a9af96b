"""How does an identity's signed token log in? (Vault, "JWT/OIDC auth method", JWT.)"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login.base import Auth
from brokerd.backends.vault.login.proof import prove
from brokerd.backends.vault.login.settings import auth_mount
from brokerd.identities.base import Identity
from brokerd.kinds import identity_of
from brokerd.table import Table
from brokershim import clock


@dataclass(frozen=True)
class SignedToken:
    """Logs in with a token of an identity, a new one each time.

    Attributes:
        kind: Which auth method takes it; what Kubernetes' is sent is the same.
        identity: Whose.
        audience: Whom it is for; the first server's address, if None.
        mount: Of the auth method, below ``auth/``.
        role: Which of its roles; the one that it has as its default, if None.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    kind: str
    identity: Identity
    audience: str | None
    mount: str
    role: str | None
    now: Callable[[], float] = clock.now

    def revision(self) -> Hashable:
        """Return the identity's: a token of the server is of who was logged in to that."""
        return self.identity.revision()

    def login(self, vault: Vault) -> Auth:
        """Log in; raises as `Method.login`."""
        proof = self.identity.token(self.audience or vault.servers.addresses[0])
        role = "its default role" if self.role is None else f"role {self.role}"
        return prove(
            vault,
            self.mount,
            lambda client: client.auth.jwt.jwt_login(
                self.role, proof.value, use_token=False, path=self.mount
            ),
            f"see whom {role} of auth/{self.mount} is for: audience, subject, claims, "
            f"and which issuer it trusts; `brokerctl whoami` shows who {self.identity.name} is",
            self.now,
        )


def build(name: str, table: Table, identities: Mapping[str, Identity]) -> SignedToken:  # noqa: ARG001 - as of every login
    """Return the login that a table with ``login = "jwt"`` describes.

    Raises:
        ConfigError: It names no identity.
    """
    return SignedToken(
        kind="jwt",
        identity=identity_of(table, identities),
        audience=table.optional_text("audience"),
        mount=auth_mount(table, "jwt"),
        role=table.optional_text("role"),
    )
