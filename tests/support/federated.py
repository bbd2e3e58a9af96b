"""A federation backend and all that it talks to."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from brokerd.backends.federation.backend import FederationBackend, build
from brokerd.backends.federation.exchange import Chances, Exchange
from brokerd.table import Table
from tests.support.jwks import Issuer
from tests.support.signing_identity import SigningIdentity
from tests.support.token_endpoints import TokenEndpoint
from tests.support.vendor_rules import RULES

NAME = "its/secret"
SETTINGS: dict[str, dict[str, str]] = {
    "anthropic": {
        "federation_rule_id": "fdrl_1",
        "organization_id": "8d2e6f0a-0000-4000-8000-000000000001",
    },
    "openai": {"identity_provider_id": "idp_1", "service_account_id": "sa_1"},
    "openrouter": {"federation_policy_id": "4b2f7d1e-8c3a-4e5f-9a6b-1c2d3e4f5a6b"},
    "rfc8693": {"audience": RULES["rfc8693"].audience},
    "rfc7523": {"audience": RULES["rfc7523"].audience},
}


@dataclass
class Federated:
    """The parts.

    Attributes:
        backend: What is tried.
        identity: Who it asks as.
        endpoint: Who it asks.
        now: The time that keys are counted from; set it.
        share: What the dice say.
        pauses: The seconds it waited.
    """

    kind: str
    issuer: Issuer
    identity: SigningIdentity
    endpoint: TokenEndpoint
    now: float = 1000.0
    share: float = 0.0
    pauses: list[float] = field(default_factory=list)
    backend: FederationBackend = field(init=False)

    def __post_init__(self) -> None:
        self.backend = self.build({})

    def build(self, more: dict[str, Any], **secret: Any) -> FederationBackend:
        """Build one from a table with more in it, and a secret's table."""
        values: dict[str, Any] = {
            "provider": self.kind,
            "identity": "work",
            "token_endpoint": self.endpoint.url,
            "hosts": [f"127.0.0.1:{self.endpoint.port}"],
            **SETTINGS[self.kind],
            **more,
        }
        table = Table("config.toml", "backend.x", values)
        own = Table("config.toml", f'secret."{NAME}"', secret)
        found = build("x", table, {NAME: own}, {"work": self.identity})
        table.finish()
        own.finish()
        chances = Chances(lambda: self.now, lambda: self.share, self.pauses.append)
        exchange: Exchange = found._exchange
        return FederationBackend(replace(exchange, chances=chances), found._terms)


@contextmanager
def federated(kind: str = "anthropic") -> Generator[Federated]:
    """Run an issuer and a token endpoint, and build a backend for them."""
    with Issuer() as issuer, TokenEndpoint(kind, issuer) as endpoint:
        # Its tokens' lives are counted as the backend counts its keys': from 1,000.
        identity = SigningIdentity(issuer, now=lambda: parts.now)
        parts = Federated(kind, issuer, identity, endpoint)
        yield parts
