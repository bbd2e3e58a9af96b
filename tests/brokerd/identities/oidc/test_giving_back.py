"""What a login leaves over goes back to its provider, unless that could end one that goes on."""

from __future__ import annotations

import json
import logging

import pytest
from keyring.errors import KeyringLocked

from brokerd.identities.oidc.identity import OidcIdentity
from brokershim.errors import KeyringUnavailable, LoginRefused
from tests.brokerd.identities.oidc.conftest import log_in
from tests.support.issuer import OpenIdIssuer
from tests.support.memory_keyring import MemoryKeyring
from tests.support.provider import Answer, Asked

ENTRY = ("brokerctl", "login/work")


def _give_up_late(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    """Give up a login while the provider already answers with its tokens."""
    login, usual = identity.login("device"), issuer._token

    def late(asked: Asked) -> Answer:
        login.cancel()
        return usual(asked)

    issuer.instead["/token"], issuer.ready = late, True
    with pytest.raises(LoginRefused, match="given up"):
        login.run()
    issuer.instead.clear()


def test_the_login_of_somebody_before(
    identity: OidcIdentity, issuer: OpenIdIssuer, keyring: MemoryKeyring
) -> None:
    log_in(identity, issuer)
    (older,) = issuer.good
    issuer.claims = {"sub": "user-2"}
    log_in(identity, issuer)
    assert issuer.revoked == [older]
    assert issuer.good == {json.loads(keyring.entries[ENTRY])["refresh_token"]}


def test_not_the_same_persons_whose_newer_one_may_end_with_it(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    log_in(identity, issuer)
    log_in(identity, issuer)
    assert issuer.revoked == []


def test_the_same_persons_where_no_newer_one_is_kept(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    log_in(identity, issuer)
    (older,) = issuer.good
    issuer.refreshing = False
    log_in(identity, issuer)
    assert issuer.revoked == [older]


def test_one_that_was_given_up_as_it_came(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    _give_up_late(identity, issuer)
    assert len(issuer.revoked) == 1
    assert issuer.good == set()


def test_but_not_beside_a_login_of_the_same_person(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    log_in(identity, issuer)
    _give_up_late(identity, issuer)
    assert issuer.revoked == []
    assert identity.token(None).subject == "user-1"


@pytest.mark.parametrize(("before", "revoked"), [(False, 1), (True, 0)])
def test_one_that_proves_nothing(
    identity: OidcIdentity, issuer: OpenIdIssuer, before: bool, revoked: int
) -> None:
    if before:
        log_in(identity, issuer)
    issuer.sign = lambda _: "nonsense"
    with pytest.raises(LoginRefused):
        log_in(identity, issuer)
    assert len(issuer.revoked) == revoked


def test_one_that_may_stand_in_a_keyring_that_refuses_stays(
    identity: OidcIdentity, issuer: OpenIdIssuer, keyring: MemoryKeyring
) -> None:
    login, usual = identity.login("device"), issuer._token

    def locked_meanwhile(asked: Asked) -> Answer:
        keyring.refuse = KeyringLocked("SECRET")
        return usual(asked)

    issuer.instead["/token"], issuer.ready = locked_meanwhile, True
    with pytest.raises(KeyringUnavailable):
        login.run()
    assert issuer.revoked == []


def test_a_provider_that_does_not_hear_of_it_holds_up_no_login(
    identity: OidcIdentity, issuer: OpenIdIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    log_in(identity, issuer)
    (older,) = issuer.good
    issuer.instead["/revoke"] = lambda _: Answer(500)
    issuer.claims = {"sub": "user-2"}
    with caplog.at_level(logging.WARNING):
        assert log_in(identity, issuer)[1].state == "ready"
    assert "not given back" in caplog.text
    assert older not in caplog.text
