"""OpenBao says who a job is, and a provider that trusts it gives a key for that."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from brokerd.backends.federation import backend
from brokerd.identities import file
from brokerd.model import BoundedBy
from brokerd.table import Table
from brokershim.errors import ExchangeRefused
from tests.support.bao import bao
from tests.support.federated import SETTINGS
from tests.support.jwks import Issuer, Published
from tests.support.token_endpoints import TokenEndpoint
from tests.support.vendor_rules import RULES

AUDIENCE = RULES["anthropic"].audience


def test_its_identity_token_becomes_a_key(tmp_path: Path) -> None:
    with bao() as server:
        server.set_up(AUDIENCE)
        token = server.issue()
        published = Published(server.issuer)
        claims = published.verify(token)
        trusted = cast(Issuer, published)  # only its `url` and `verify` are used
        with TokenEndpoint("anthropic", trusted) as endpoint:
            team = federated(tmp_path, token, endpoint)
            with pytest.raises(ExchangeRefused):
                team.fetch("anthropic/team")
            endpoint.subject = claims["sub"]
            team = federated(tmp_path, server.issue(), endpoint)
            key = team.fetch("anthropic/team")
            assert endpoint.is_alive(key.value.decode())
            assert key.bounded_by is BoundedBy.PROVIDER


def federated(folder: Path, token: str, endpoint: TokenEndpoint) -> backend.FederationBackend:
    """Build a backend that asks as the token in a file says."""
    path = folder / "token"
    path.write_text(token)
    path.chmod(0o600)
    job = file.build("job", Table("config.toml", "identity.job", {"path": str(path)}))
    values = {"provider": "anthropic", "identity": "job", "token_endpoint": endpoint.url}
    table = Table("config.toml", "backend.team", {**values, **SETTINGS["anthropic"]})
    secret = Table("config.toml", 'secret."anthropic/team"', {})
    return backend.build("team", table, {"anthropic/team": secret}, {"job": job})
