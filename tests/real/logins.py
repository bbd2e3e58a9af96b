"""What tests of real logins share: an identity, and a login that waits while a person acts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from brokerd.identities.base import Login, Standing
from brokerd.identities.oidc import identity
from brokerd.identities.oidc.identity import OidcIdentity
from brokerd.table import Table

RESOURCE = "https://api.example.com"


def identity_at(issuer: str, client_id: str = "brokerctl", **more: object) -> OidcIdentity:
    """Return an identity of kind oidc as it is configured; it keeps its login in memory."""
    values = {"issuer": issuer, "client_id": client_id, "keep": "memory", **more}
    return identity.build("work", Table("config.toml", "identity.work", values))


def log_in(login: Login, act: Callable[[str], None]) -> Future[Standing]:
    """Run a login while a person acts; return its end once they have.

    Args:
        login: The login.
        act: What the person does with its URL.
    """
    with ThreadPoolExecutor(1) as threads:
        end = threads.submit(login.run)
        try:
            act(login.url)
        except BaseException:
            login.cancel()
            raise
    return end
