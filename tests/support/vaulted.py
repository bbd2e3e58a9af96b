"""A backend for a Vault, logged in with tokens of a policy, and what a test looks at besides."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from brokerd.backends.vault import terms
from brokerd.backends.vault.backend import VaultBackend
from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login.auth import auth_of
from brokerd.backends.vault.login.base import Auth
from brokerd.backends.vault.servers import Servers
from brokerd.backends.vault.session import Session
from brokerd.table import Table
from brokershim import clock
from tests.support.vault_admin import Admin

NAME = "openai/dev"
HOSTS = ["api.example.com"]
ENDING = {"sys/leases/revoke": ["update"], "auth/token/revoke-accessor": ["update"]}
"""What a token needs that makes keys."""


@dataclass
class Fresh:
    """Logs in with a new token each time.

    Attributes:
        admin: Makes it.
        policies: What it may do.
        terms: Such as its ``ttl`` and ``type``.
        made: Every token so far, as its login was answered.
    """

    admin: Admin
    policies: Sequence[str]
    terms: Mapping[str, Any] = field(default_factory=dict)
    made: list[dict[str, Any]] = field(default_factory=list)
    kind = "fresh"

    def revision(self) -> Hashable:
        """Return the same always."""
        return 0

    def login(self, vault: Vault) -> Auth:
        """Make a token."""
        del vault
        asked_at = clock.now()
        self.made.append(self.admin.token(*self.policies, **{"ttl": "10m", **self.terms}))
        return auth_of({"auth": self.made[-1]}, asked_at)


@dataclass
class Vaulted:
    """The parts.

    Attributes:
        backend: What is tried.
        session: Its login.
        method: How that is made.
    """

    backend: VaultBackend
    session: Session
    method: Fresh


def vaulted(
    admin: Admin,
    rules: Mapping[str, Sequence[str]],
    secrets: Mapping[str, Mapping[str, Any]],
    **token: Any,
) -> Vaulted:
    """Build a backend.

    Args:
        admin: The server, or a namespace of it.
        rules: What its tokens may do, from path to capabilities.
        secrets: The tables of its secrets by name; without ``hosts`` they get some.
        token: Such as its ``ttl`` and ``type``.
    """
    method = Fresh(admin, [admin.policy(rules)], token)
    vault = Vault("corp", Servers((admin.url,), admin.namespace or None))
    session = Session(vault, method)
    found = {name: read(name, **values) for name, values in secrets.items()}
    return Vaulted(VaultBackend("corp", session, method, found, 30.0), session, method)


def read(name: str = NAME, **values: Any) -> terms.Terms:
    """Read the table of one secret, of which nothing is left over."""
    table = Table("config.toml", f'secret."{name}"', {"hosts": HOSTS, **values})
    found = terms.read(table, name, "corp", 900.0)
    table.finish()
    return found
