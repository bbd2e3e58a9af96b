"""Identities' signed tokens log in to a real server, as themselves and as service accounts."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import replace

import pytest

from brokerd.backends.vault.client import Vault, hvac
from brokerd.backends.vault.login import jwt, kubernetes
from brokerd.backends.vault.login.jwt import SignedToken
from brokerd.backends.vault.login.proof import prove
from brokerd.table import Table
from brokershim import clock
from brokershim.errors import BackendRefused, ConfigError, LoginRequired, NamespaceNotFound
from tests.support.jwks import Issuer
from tests.support.require import require_namespaces
from tests.support.signing_identity import SigningIdentity
from tests.support.token_review import TokenReviews
from tests.support.vault import Server
from tests.support.vault_admin import Mounted
from tests.support.vault_session import vault_of

AUDIENCE = "https://vault.example"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


@pytest.fixture
def identity(issuer: Issuer) -> SigningIdentity:
    return SigningIdentity(issuer)


@pytest.fixture(scope="module")
def trusting(vault_server: Server, issuer: Issuer) -> Mounted:
    return vault_server.jwt(issuer.url, AUDIENCE, "default", token_ttl="60s")


@pytest.fixture
def method(identity: SigningIdentity, trusting: Mounted) -> SignedToken:
    return SignedToken("jwt", identity, AUDIENCE, trusting.mount, trusting.role)


def table(**values: object) -> Table:
    return Table("config.toml", "backend.corp", values)


def test_it_logs_in_with_a_new_token_each_time(vault_server: Server, method: SignedToken) -> None:
    vault = vault_of(vault_server)
    found, again = method.login(vault), method.login(vault)
    assert vault_server.lives(found.token)
    assert found.token != again.token
    assert found.policies == ("default",)
    assert found.ours
    assert found.renewable
    assert found.expires_at == pytest.approx(clock.now() + 60, abs=5)
    assert found.accessor in vault_server.accessors()


def test_the_audience_is_the_first_servers_address_if_nothing_else_is_said(
    vault_server: Server, method: SignedToken, identity: SigningIdentity
) -> None:
    with pytest.raises(BackendRefused):
        replace(method, audience=None).login(vault_of(vault_server))
    assert identity.audiences == [vault_server.url]


@pytest.mark.parametrize("claims", [{"aud": "https://another.example"}, {"exp": 1}, {"sub": None}])
def test_a_token_that_says_something_else_is_refused(
    vault_server: Server, method: SignedToken, identity: SigningIdentity, claims: dict[str, object]
) -> None:
    identity.claims = claims
    with pytest.raises(BackendRefused, match="logging in to corp at auth/") as refused:
        method.login(vault_of(vault_server))
    assert "audience, subject, claims" in refused.value.hint
    assert identity.last is not None
    shown = "".join(traceback.format_exception(refused.value)) + refused.value.hint
    assert identity.last.value not in shown
    assert "hvac.exceptions" not in shown


def test_a_token_that_somebody_else_signed_is_refused(
    vault_server: Server, method: SignedToken, issuer: Issuer
) -> None:
    with Issuer() as stranger:
        strangers = SigningIdentity(stranger)
        strangers.claims = {"iss": issuer.url}
        with pytest.raises(BackendRefused):
            replace(method, identity=strangers).login(vault_of(vault_server))


def test_a_role_that_is_gone_is_named(vault_server: Server, method: SignedToken) -> None:
    with pytest.raises(BackendRefused) as refused:
        replace(method, role="gone").login(vault_of(vault_server))
    assert "role gone of auth/" in refused.value.hint
    assert "auth_mount" not in refused.value.hint


def test_a_method_that_is_mounted_elsewhere_is_looked_for_first(
    vault_server: Server, method: SignedToken
) -> None:
    """A server says no more of it than of a proof that it does not take."""
    with pytest.raises(BackendRefused) as refused:
        replace(method, mount="gone").login(vault_of(vault_server))
    assert refused.value.hint.startswith(
        "see whether the auth method is at auth/gone (`auth_mount`), then see whom role"
    )
    within = replace(vault_of(vault_server).servers, namespace="root")
    if vault_server.has_namespaces():
        with pytest.raises(BackendRefused) as refused:
            replace(method, mount="gone").login(Vault("corp", within))
        assert "at auth/gone of the namespace root (`auth_mount`)" in refused.value.hint


def test_without_a_role_the_methods_default_is_taken(
    vault_server: Server, method: SignedToken, issuer: Issuer
) -> None:
    vault = vault_of(vault_server)
    with pytest.raises(BackendRefused) as refused:
        replace(method, role=None).login(vault)
    assert "its default role of auth/" in refused.value.hint
    vault_server.write(
        f"auth/{method.mount}/config", oidc_discovery_url=issuer.url, default_role=method.role
    )
    assert vault_server.lives(replace(method, role=None).login(vault).token)


def test_a_mount_that_is_not_there_is_no_secret_that_is_missing(
    vault_server: Server, method: SignedToken
) -> None:
    with pytest.raises(BackendRefused, match="at auth/nowhere"):
        replace(method, mount="nowhere").login(vault_of(vault_server))


def test_nor_where_the_server_answers_404(vault_server: Server) -> None:
    def show(_: object) -> object:
        raise hvac.exceptions.InvalidPath(errors=["no handler for route"])

    with pytest.raises(BackendRefused, match="no handler for route") as refused:
        prove(vault_of(vault_server), "nowhere", show, "mount it", clock.now)
    assert refused.value.hint.endswith(", then mount it")


def test_it_logs_in_within_a_namespace(vault_server: Server, method: SignedToken) -> None:
    with vault_server.within() as team:
        at = team.jwt(method.identity.token(None).issuer, AUDIENCE, "default", token_ttl="60s")
        inside = replace(method, mount=at.mount, role=at.role)
        found = inside.login(vault_of(team))
        assert team.lives(found.token)
        with pytest.raises(BackendRefused):
            inside.login(vault_of(vault_server))


def test_a_namespace_that_is_not_there_is_said_to_be(
    vault_server: Server, method: SignedToken
) -> None:
    require_namespaces(vault_server.has_namespaces())
    servers = replace(vault_of(vault_server).servers, namespace="nowhere")
    with pytest.raises(NamespaceNotFound):
        method.login(Vault("corp", servers))


def test_what_the_identity_says_comes_first(
    vault_server: Server, method: SignedToken, identity: SigningIdentity
) -> None:
    identity.failure = LoginRequired("nobody is logged in")
    with pytest.raises(LoginRequired):
        method.login(vault_of(vault_server))
    assert method.revision() == 1
    identity.login = 2
    assert method.revision() == 2


def test_a_service_account_logs_in(vault_server: Server, issuer: Issuer) -> None:
    identity = SigningIdentity(issuer)
    with TokenReviews(issuer) as api:
        at = vault_server.kubernetes(api.url, AUDIENCE, "default", token_ttl="60s")
        values = {"identity": "work", "audience": AUDIENCE, "auth_mount": at.mount, "role": at.role}
        method = kubernetes.build("corp", table(**values), {"work": identity})
        identity.claims = claims_of_a_pod()
        assert vault_server.lives(method.login(vault_of(vault_server)).token)
        identity.claims["aud"] = ["https://another.example"]
        with pytest.raises(BackendRefused):
            method.login(vault_of(vault_server))


def claims_of_a_pod() -> dict[str, object]:
    account = {"name": "worker", "uid": "9a6d9f4c-0000-4000-8000-000000000000"}
    return {
        "sub": "system:serviceaccount:apps:worker",
        "aud": [AUDIENCE],
        "kubernetes.io": {"namespace": "apps", "serviceaccount": account},
    }


def test_the_table_says_which(identity: SigningIdentity) -> None:
    identities = {"work": identity}
    found = jwt.build("corp", table(identity="work"), identities)
    assert (found.kind, found.mount, found.role, found.audience) == ("jwt", "jwt", None, None)
    values = {"identity": "work", "auth_mount": "team/jwt/", "role": "dev", "audience": AUDIENCE}
    found = jwt.build("corp", table(**values), identities)
    assert (found.mount, found.role, found.audience) == ("team/jwt", "dev", AUDIENCE)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ({}, "identity is missing"),
        ({"identity": "gone"}, "no identity gone"),
        ({"identity": "work", "auth_mount": "../sys"}, "auth_mount is no path"),
        ({"identity": "work", "auth_mount": "a b"}, "auth_mount is no path"),
    ],
)
def test_a_table_that_says_too_little_is_refused(
    identity: SigningIdentity, values: dict[str, object], fault: str
) -> None:
    with pytest.raises(ConfigError, match=fault):
        jwt.build("corp", table(**values), {"work": identity})


def test_kubernetes_needs_a_role(identity: SigningIdentity) -> None:
    with pytest.raises(ConfigError, match="role is missing"):
        kubernetes.build("corp", table(identity="work"), {"work": identity})
