"""How does a pod's service account log in? (Vault, "Kubernetes auth method".)"""

from __future__ import annotations

from collections.abc import Mapping

from brokerd.backends.vault.login.jwt import SignedToken
from brokerd.backends.vault.login.settings import auth_mount
from brokerd.identities.base import Identity
from brokerd.kinds import identity_of
from brokerd.table import Table


def build(name: str, table: Table, identities: Mapping[str, Identity]) -> SignedToken:  # noqa: ARG001 - as of every login
    """Return the login that a table with ``login = "kubernetes"`` describes.

    Raises:
        ConfigError: It names no identity, or no role.
    """
    return SignedToken(
        kind="kubernetes",
        identity=identity_of(table, identities),
        audience=table.optional_text("audience"),
        mount=auth_mount(table, "kubernetes"),
        role=table.text("role"),
    )
