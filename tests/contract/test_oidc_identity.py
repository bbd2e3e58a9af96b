"""A person who is logged in at an OpenID provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from brokerd.identities.oidc.clocks import Clocks
from brokerd.identities.oidc.identity import OidcIdentity
from brokerd.identities.oidc.keeping import InKeyring
from brokerd.identities.oidc.settings import Settings
from tests.brokerd.identities.oidc.conftest import log_in
from tests.contract.identity import Given, IdentityContract
from tests.support.issuer import CLIENT, OpenIdIssuer
from tests.support.memory_keyring import MemoryKeyring, use


class TestAPerson(IdentityContract):
    """Logged in with a browser, with a refresh token in the keyring."""

    @pytest.fixture
    def given(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Given]:
        use(monkeypatch, MemoryKeyring())
        with OpenIdIssuer() as issuer:
            settings = Settings("work", issuer.url, CLIENT)
            identity = OidcIdentity(settings, InKeyring(settings), Clocks())
            log_in(identity, issuer)
            yield Given(identity, CLIENT, "https://api.example.com", issuer.good.clear)
