"""The jobs of two CIs: GitHub's, which asks a server, and GitLab's, which is told in advance."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from brokerd import ambient
from brokerd.identities import ci
from brokerd.identities.base import Identity
from brokerd.table import Table
from tests.contract.identity import Given, IdentityContract
from tests.support.jwks import Issuer
from tests.support.provider import Answer

AUDIENCE, OTHER = "https://api.example.com", "https://gateway.example.com"


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    for each in ambient.CIS:
        monkeypatch.delenv(each.marker, raising=False)
    with Issuer() as made:
        yield made


def job() -> Identity:
    return ci.build("job", Table("config.toml", "identity.job", {"kind": "ci"}))


class TestGitHub(IdentityContract):
    """A job with the permission to ask for tokens."""

    @pytest.fixture
    def given(self, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Given:
        for name, value in issuer.github_job().items():
            monkeypatch.setenv(name, value)

        def echo() -> None:
            issuer.refusal = Answer(403, issuer.github(AUDIENCE).encode())

        return Given(job(), AUDIENCE, OTHER, echo)


class TestGitLab(IdentityContract):
    """A job that declares its tokens."""

    @pytest.fixture
    def given(self, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Given:
        name = "HTTPS___API_EXAMPLE_COM_ID_TOKEN"
        monkeypatch.setenv("GITLAB_CI", "true")
        monkeypatch.setenv(name, issuer.gitlab(AUDIENCE))
        monkeypatch.setenv("HTTPS___GATEWAY_EXAMPLE_COM_ID_TOKEN", issuer.gitlab(OTHER))
        return Given(job(), AUDIENCE, OTHER, lambda: monkeypatch.setenv(name, issuer.gitlab(OTHER)))
