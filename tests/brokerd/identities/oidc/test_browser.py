"""A login in the browser: what it asks for, what it takes, and when it is over."""

from __future__ import annotations

import hmac
import socket
import threading
from http.client import RemoteDisconnected
from urllib.parse import parse_qs, urlsplit

import pytest

from brokerd.identities.oidc import browser, course, loopback, ways
from brokerd.identities.oidc.identity import OidcIdentity
from brokershim.errors import IdentityUnavailable, LoginRefused, LoginUnderWay
from tests.brokerd.identities.oidc.conftest import Time, ask, browse, log_in, make, waiting
from tests.support.issuer import CLIENT, OpenIdIssuer, refusal


def test_a_person_logs_in(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    seen, standing = log_in(identity, issuer)
    assert (standing.state, standing.subject) == ("ready", "ada@example.org")
    assert (seen.status, seen.path) == (200, "/signed-in")
    token = identity.token(None)
    assert (token.issuer, token.subject) == (issuer.url, "user-1")
    assert token.id is not None


def test_the_question_is_one_of_a_native_app(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    login = identity.login("browser")
    asked = parse_qs(urlsplit(login.url).query)
    login.cancel()
    assert login.url.startswith(f"{issuer.url}/authorize?")
    assert asked["client_id"] == [CLIENT]
    assert asked["scope"] == ["openid email offline_access"]
    assert asked["prompt"] == ["consent"]
    assert asked["code_challenge_method"] == ["S256"]
    assert urlsplit(asked["redirect_uri"][0]).hostname == "127.0.0.1"
    assert all(len(asked[name][0]) >= 43 for name in ("state", "nonce", "code_challenge"))


def test_no_two_logins_share_anything(identity: OidcIdentity) -> None:
    questions = []
    for _ in range(2):
        login = identity.login("browser")
        questions.append(parse_qs(urlsplit(login.url).query))
        login.cancel()
    first, second = questions
    assert all(first[name] != second[name] for name in ("state", "nonce", "code_challenge"))


def test_scopes_that_are_not_offered_are_not_asked_for(issuer: OpenIdIssuer, time: Time) -> None:
    issuer.metadata["scopes_supported"] = ["openid", "profile"]
    login = make(issuer, time, keep="memory").login("browser")
    asked = parse_qs(urlsplit(login.url).query)
    login.cancel()
    assert asked["scope"] == ["openid"]
    assert "prompt" not in asked


def test_resources_are_agreed_to_at_the_login(issuer: OpenIdIssuer, time: Time) -> None:
    resources = ("https://one.example", "https://two.example")
    login = make(issuer, time, keep="memory", resources=resources).login("browser")
    login.cancel()
    assert parse_qs(urlsplit(login.url).query)["resource"] == list(resources)


@pytest.mark.parametrize("state", [None, "", "wrong", "ü"])
def test_a_program_that_is_first_at_the_redirect_uri_ends_nothing(
    identity: OidcIdentity, issuer: OpenIdIssuer, state: str | None
) -> None:
    login = identity.login("browser")
    outcome = waiting(login)
    answer = issuer.consent(login.url)
    own = parse_qs(urlsplit(answer).query)["state"][0]
    base = answer.partition("?")[0]
    url = (
        f"{base}?code=stolen"
        if state is None
        else f"{base}?code=stolen&state=" + ("%C3%BC" if state == "ü" else state)
    )
    seen = ask(url)
    assert seen.status == 400
    assert own not in seen.body + str(seen.headers)
    assert browse(answer).path == "/signed-in"
    assert outcome.result(10).state == "ready"


def test_an_answer_counts_once(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    login = identity.login("browser")
    outcome = waiting(login)
    answer = issuer.consent(login.url)
    assert ask(answer).status == 303  # whoever follows it sees the last page
    assert ask(answer).status == 400
    assert ask(f"http://{urlsplit(answer).netloc}/signed-in").status == 200
    assert outcome.result(10).state == "ready"
    assert len(issuer.asked_for("/token")) == 1


def test_nothing_listens_once_it_is_over(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    login = identity.login("browser")
    outcome = waiting(login)
    answer = issuer.consent(login.url)
    browse(answer)
    outcome.result(10)
    with pytest.raises(ConnectionRefusedError):
        ask(answer)


def test_a_refusal_of_the_person_has_a_page_of_its_own(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    login = identity.login("browser")
    outcome = waiting(login)
    seen = browse(issuer.consent(login.url, error="access_denied"))
    assert (seen.status, seen.path) == (200, "/refused")
    with pytest.raises(LoginRefused, match="access_denied"):
        outcome.result(10)
    assert identity.standing().state == "login"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"error": "server_error", "error_description": "out of order"}, "out of order"),
        ({"iss": "https://other.example"}, "mix-up"),
        ({"code": ""}, "without a code"),
        ({"code": "of-another-login"}, "invalid_grant"),
    ],
)
def test_an_answer_that_is_wrong_ends_the_login(
    identity: OidcIdentity, issuer: OpenIdIssuer, changes: dict[str, str], said: str
) -> None:
    login = identity.login("browser")
    outcome = waiting(login)
    seen = browse(issuer.consent(login.url, **changes))
    assert (seen.status, seen.path) == (200, "/failed")
    with pytest.raises(LoginRefused, match=said):
        outcome.result(10)
    assert identity.standing().state == "login"


def test_a_mix_up_sends_no_code_anywhere(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    with pytest.raises(LoginRefused, match="mix-up"):
        log_in(identity, issuer, iss="https://other.example")
    assert issuer.asked_for("/token") == []


def test_a_provider_that_always_names_itself_has_to(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    login = identity.login("browser")
    outcome = waiting(login)
    answer = issuer.consent(login.url)
    browse(answer[: answer.index("&iss=")])
    with pytest.raises(LoginRefused, match="mix-up"):
        outcome.result(10)


def test_a_provider_that_never_names_itself_need_not(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    issuer.metadata["authorization_response_iss_parameter_supported"] = False
    login = identity.login("browser")
    outcome = waiting(login)
    answer = issuer.consent(login.url)
    assert browse(answer[: answer.index("&iss=")]).path == "/signed-in"
    assert outcome.result(10).state == "ready"


def test_one_at_a_time(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    first = identity.login("browser")
    with pytest.raises(LoginUnderWay, match="work"):
        identity.login("device")
    first.cancel()
    assert log_in(identity, issuer)[1].state == "ready"


def test_a_login_that_was_forgotten_blocks_nobody_for_ever(
    identity: OidcIdentity, time: Time
) -> None:
    first = identity.login("browser")
    time.boot += first.seconds + 61
    second = identity.login("browser")
    with pytest.raises(LoginRefused, match="given up"):
        first.run()
    with pytest.raises(LoginUnderWay):  # the end of the first is not that of the second
        identity.login("browser")
    second.cancel()


def test_a_login_that_could_not_begin_leaves_the_way_free(
    identity: OidcIdentity, issuer: OpenIdIssuer, time: Time
) -> None:
    issuer.metadata["authorization_endpoint"] = None
    with pytest.raises(IdentityUnavailable, match="browser"):
        identity.login("browser")
    issuer.metadata.clear()
    time.boot += 3601
    identity.login("browser").cancel()


def test_given_up_while_it_waits(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    login = identity.login("browser")
    outcome = waiting(login)
    assert ask(issuer.consent(login.url).partition("?")[0]).status == 400  # it runs
    login.cancel()
    with pytest.raises(LoginRefused, match="given up"):
        outcome.result(10)
    login.cancel()


def test_given_up_while_the_provider_is_asked(identity: OidcIdentity, issuer: OpenIdIssuer) -> None:
    login = identity.login("browser")

    def late(asked: object) -> object:
        login.cancel()
        del issuer.instead["/token"]
        return issuer._token(asked)  # type: ignore[arg-type]

    issuer.instead["/token"] = late  # type: ignore[assignment]
    outcome = waiting(login)
    assert browse(issuer.consent(login.url)).path == "/failed"
    with pytest.raises(LoginRefused, match="given up"):
        outcome.result(10)
    assert identity.standing().state == "login"


def test_a_fault_of_ours_leaves_nothing_open(
    identity: OidcIdentity, issuer: OpenIdIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loopback, "SECONDS", 0.1)
    monkeypatch.setattr(ways, "granted", lambda *_: 1 // 0)
    login = identity.login("browser")
    outcome = waiting(login)
    with pytest.raises(RemoteDisconnected):
        ask(issuer.consent(login.url))
    with pytest.raises(ZeroDivisionError):
        outcome.result(10)
    identity.login("browser").cancel()


def test_nobody_comes(
    identity: OidcIdentity, monkeypatch: pytest.MonkeyPatch, issuer: OpenIdIssuer
) -> None:
    monkeypatch.setattr(browser.BrowserLogin, "seconds", 0.0)
    with pytest.raises(LoginRefused, match="nobody finished"):
        identity.login("browser").run()
    assert issuer.asked_for("/token") == []


def test_a_browser_that_is_closed_too_early_changes_nothing(
    identity: OidcIdentity, issuer: OpenIdIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "SECONDS", 0.0)
    login = identity.login("browser")
    outcome = waiting(login)
    assert ask(issuer.consent(login.url)).status == 303  # and goes no further
    assert outcome.result(10).state == "ready"


def test_the_code_goes_out_with_its_proof_and_once(
    identity: OidcIdentity, issuer: OpenIdIssuer
) -> None:
    issuer.instead["/token"] = lambda _: refusal("invalid_grant")
    with pytest.raises(LoginRefused, match="invalid_grant"):
        log_in(identity, issuer)
    (form,) = issuer.asked_for("/token")
    assert len(form["code_verifier"]) >= 43
    assert "client_secret" not in form


def test_the_state_is_compared_in_constant_time(
    identity: OidcIdentity, issuer: OpenIdIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = threading.Event()

    def compare(one: bytes, other: bytes) -> bool:
        compared.set()
        return original(one, other)

    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    log_in(identity, issuer)
    assert compared.is_set()


def test_the_login_waits_on_loopback_only(identity: OidcIdentity) -> None:
    login = identity.login("browser")
    port = urlsplit(parse_qs(urlsplit(login.url).query)["redirect_uri"][0]).port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("::1", port or 0), timeout=5)
    login.cancel()
