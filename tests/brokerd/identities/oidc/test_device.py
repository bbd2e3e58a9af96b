"""A login with a code that is typed at another screen (RFC 8628)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from brokerd import http
from brokerd.identities.oidc.identity import OidcIdentity
from brokershim.errors import BackendTimeout, IdentityUnavailable, LoginRefused, ServerDown
from tests.brokerd.identities.oidc.conftest import Time, make
from tests.support.issuer import OpenIdIssuer, refusal
from tests.support.provider import Answer, Asked


def in_turn(issuer: OpenIdIssuer, *answers: Answer) -> None:
    """Let the token endpoint answer these, and then as usual, to a person who is done."""
    left = list(answers)
    usual = issuer._token
    issuer.ready = True
    issuer.instead["/token"] = lambda asked: left.pop(0) if left else usual(asked)


def test_a_person_logs_in_elsewhere(
    identity: OidcIdentity, issuer: OpenIdIssuer, time: Time
) -> None:
    login = identity.login("device")
    assert (login.user_code, login.seconds) == ("WDJB-MJHT", 600)
    assert login.url == f"{issuer.url}/go?user_code=WDJB-MJHT"
    in_turn(issuer, refusal("authorization_pending"), refusal("authorization_pending"))
    assert login.run().subject == "ada@example.org"
    assert time.waited == [5, 5, 5]
    assert identity.token(None).subject == "user-1"
    assert issuer.asked_for("/device")[0]["scope"] == "openid email offline_access"


def test_a_provider_that_wants_it_slower_gets_it_slower(
    identity: OidcIdentity, issuer: OpenIdIssuer, time: Time
) -> None:
    pause = Answer(429, b"", (("retry-after", "30"),))
    in_turn(issuer, refusal("slow_down"), refusal("slow_down"), pause)
    identity.login("device").run()
    assert time.waited == [5, 10, 15, 30]


def test_silence_makes_it_slower_too(
    identity: OidcIdentity, issuer: OpenIdIssuer, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    login, original = identity.login("device"), http.post_form
    issuer.ready, silent = True, [True]

    def post(url: str, form: Any) -> http.Reply:
        if silent and url.endswith("/token"):
            silent.clear()
            raise BackendTimeout("it does not answer")
        return original(url, form)

    monkeypatch.setattr(http, "post_form", post)
    login.run()
    assert time.waited == [5, 10]


@pytest.mark.parametrize("code", ["access_denied", "expired_token", "invalid_client"])
def test_a_refusal_ends_it(identity: OidcIdentity, issuer: OpenIdIssuer, code: str) -> None:
    in_turn(issuer, refusal(code))
    with pytest.raises(LoginRefused, match=code):
        identity.login("device").run()
    assert identity.standing().state == "login"
    identity.login("device").cancel()


def test_nobody_types_it(identity: OidcIdentity, time: Time) -> None:
    with pytest.raises(LoginRefused, match="nobody finished"):
        identity.login("device").run()
    assert sum(time.waited) <= 600


def test_given_up(identity: OidcIdentity, time: Time, issuer: OpenIdIssuer) -> None:
    login = identity.login("device")
    time.meanwhile = login.cancel
    with pytest.raises(LoginRefused, match="given up"):
        login.run()
    assert issuer.asked_for("/token") == []


def test_given_up_as_the_last_answer_comes(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    login, usual = identity.login("device"), issuer._token
    issuer.ready = True

    def late(asked: Asked) -> Answer:
        login.cancel()
        return usual(asked)

    issuer.instead["/token"] = late
    with pytest.raises(LoginRefused, match="given up"):
        login.run()
    assert identity.standing().state == "login"


def test_a_provider_without_it_says_so(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    issuer.metadata["device_authorization_endpoint"] = None
    with pytest.raises(IdentityUnavailable, match="with a code"):
        identity.login("device")


def test_a_provider_that_gives_none_says_why(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    issuer.instead["/device"] = lambda _: refusal("unauthorized_client", "not for this one")
    with pytest.raises(IdentityUnavailable, match="not for this one") as refused:
        identity.login("device")
    assert "client_id" in refused.value.hint


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"device_code": None}, "no device_code"),
        ({"user_code": None}, "no user_code"),
        ({"user_code": "\x1b[31mRED"}, "could type"),
        ({"user_code": "A" * 41}, "could type"),
        ({"verification_uri_complete": "javascript:alert(1)"}, "not https"),
        ({"verification_uri_complete": None, "verification_uri": "http://evil.example"}, "https"),
        ({"verification_uri_complete": "", "verification_uri": None}, "not https"),
    ],
)
def test_what_nobody_could_use_is_refused(
    identity: OidcIdentity, issuer: OpenIdIssuer, changes: dict[str, Any], said: str
) -> None:
    issuer.instead["/device"] = lambda asked: _changed(issuer._device(asked), changes)
    with pytest.raises(ServerDown, match=said):
        identity.login("device")


@pytest.mark.parametrize(
    ("changes", "seconds", "interval"),
    [
        ({"interval": None, "expires_in": None}, 900, 5),
        ({"interval": 0, "expires_in": 10**9}, 900, 5),
        ({"interval": 7, "expires_in": 60}, 60, 7),
        ({"interval": "7", "expires_in": True}, 900, 5),
    ],
)
def test_times_are_within_reason(
    identity: OidcIdentity, issuer: OpenIdIssuer, time: Time, changes: dict[str, Any],
    seconds: float, interval: float,
) -> None:  # fmt: skip
    issuer.instead["/device"] = lambda asked: _changed(issuer._device(asked), changes)
    issuer.ready = True
    login = identity.login("device")
    login.run()
    assert (login.seconds, time.waited) == (seconds, [interval])


def test_the_address_without_the_code_will_do(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    changes = {"verification_uri_complete": None}
    issuer.instead["/device"] = lambda asked: _changed(issuer._device(asked), changes)
    login = identity.login("device")
    assert login.url == f"{issuer.url}/go"
    login.cancel()


def test_resources_are_agreed_to(issuer: OpenIdIssuer, time: Time) -> None:
    resources = ("https://one.example", "https://two.example")
    make(issuer, time, keep="memory", resources=resources).login("device").cancel()
    body = next(each.body for each in issuer.asked if each.target == "/device").decode()
    assert body.count("&resource=") == 2


def _changed(answer: Answer, changes: dict[str, Any]) -> Answer:
    assert isinstance(answer.body, bytes)
    whole = {**json.loads(answer.body), **changes}
    return answer._replace(body=json.dumps(whole).encode())
