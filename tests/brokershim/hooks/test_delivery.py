"""A bearer token arrives as one, with the headers that it needs; the app sees its own request."""

from __future__ import annotations

from typing import Any

import pytest

from tests.brokershim.conftest import KEY, NEW_KEY
from tests.brokershim.hooks.flavour import FLAVOURS, REFERENCE, Flavour
from tests.support.fakebroker import Entry, FakeBroker
from tests.support.provider import TOKEN_BETA, Provider, bearer_only

each_flavour = pytest.mark.parametrize("flavour", FLAVOURS, ids=str)
BETA = {"anthropic-beta": TOKEN_BETA}
SDK = {"x-api-key": REFERENCE, "anthropic-beta": "tools-2025-01-01"}


@pytest.fixture
def anthropic(provider: Provider, broker: FakeBroker) -> Provider:
    """Return a provider that takes the key as a token only, and a daemon that says so."""
    provider.reply = bearer_only({KEY})
    broker.secrets["openai/dev"] = Entry(KEY, bearer=True, headers=BETA)
    return provider


@each_flavour
def test_token_arrives_and_the_app_sees_what_it_sent(flavour: Flavour, anthropic: Provider) -> None:
    response = flavour.ask(anthropic.url, headers=SDK, json={"model": "m"})
    assert response.status_code == 200
    sent = anthropic.asked[0].headers
    assert sent["authorization"] == f"Bearer {KEY}"
    assert sent["anthropic-beta"] == f"tools-2025-01-01,{TOKEN_BETA}"
    assert "x-api-key" not in sent
    seen = response.request.headers
    assert (seen["x-api-key"], seen["anthropic-beta"]) == (REFERENCE, "tools-2025-01-01")
    assert "authorization" not in seen


@each_flavour
def test_token_is_in_one_header_where_the_sdk_sends_two(
    flavour: Flavour, anthropic: Provider
) -> None:
    both = {"x-api-key": REFERENCE, "authorization": f"Bearer {REFERENCE}"}
    assert flavour.ask(anthropic.url, headers=both).status_code == 200
    assert str(anthropic.asked[0].headers).count(KEY) == 1


@each_flavour
def test_refused_token_is_replaced_by_the_new_one_once(
    flavour: Flavour, anthropic: Provider, broker: FakeBroker
) -> None:
    anthropic.reply = bearer_only({NEW_KEY})
    answer = broker.answer

    def rotating(method: str, params: dict[str, Any]) -> dict[str, Any]:
        if method == "lease.report":
            broker.secrets["openai/dev"] = Entry(NEW_KEY, version="2", bearer=True, headers=BETA)
        return answer(method, params)

    broker.answer = rotating  # type: ignore[method-assign]
    how = {"headers": SDK, "json": {"model": "m", "stream": True}}
    response, lines = flavour.streamed(f"{anthropic.url}/v1/messages", "iter_lines", **how)
    assert response.status_code == 200
    assert any("hello there" in line or "message_stop" in line for line in lines)
    sent = [asked.headers["authorization"] for asked in anthropic.asked]
    assert sent == [f"Bearer {KEY}", f"Bearer {NEW_KEY}"]


@each_flavour
def test_token_that_is_sent_back_becomes_the_reference(
    flavour: Flavour, anthropic: Provider
) -> None:
    anthropic.reply = bearer_only(set())
    response = flavour.ask(anthropic.url, headers=SDK)
    assert response.status_code == 401
    assert KEY not in response.text
    assert f"Bearer {REFERENCE}" in response.text


@each_flavour
@pytest.mark.parametrize(
    ("headers", "params"),
    [
        ({}, {"key": REFERENCE}),
        ({"x-own": REFERENCE}, {}),
        ({"x-api-key": REFERENCE, "authorization": "Bearer of-the-apps-own"}, {}),
    ],
    ids=["query", "header", "taken"],
)
def test_token_that_cannot_go_as_one_does_not_go_at_all(
    flavour: Flavour, anthropic: Provider, headers: dict[str, str], params: dict[str, str]
) -> None:
    response = flavour.ask(anthropic.url, headers=headers, params=params)
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "usage"
    assert "Authorization" in response.json()["error"]["message"]
    assert anthropic.asked == []


@each_flavour
def test_header_of_a_token_goes_to_no_other_host(flavour: Flavour, anthropic: Provider) -> None:
    elsewhere = f"http://localhost:{anthropic.port}"
    refused = flavour.ask(elsewhere, headers=SDK)
    assert refused.json()["error"]["code"] == "denied.host"
    assert anthropic.asked == []
    own = {"anthropic-beta": "tools-2025-01-01"}
    flavour.ask(elsewhere, headers=own)
    assert anthropic.asked[0].headers["anthropic-beta"] == "tools-2025-01-01"
    assert "authorization" not in anthropic.asked[0].headers


@each_flavour
def test_delivery_that_would_forge_a_header_is_refused(
    flavour: Flavour, anthropic: Provider, broker: FakeBroker
) -> None:
    broker.secrets["openai/dev"] = Entry(KEY, headers={"a": "b\r\nhost: evil.example"})
    response = flavour.ask(anthropic.url, headers=SDK)
    assert response.json()["error"]["code"] == "bad_request.malformed"
    assert anthropic.asked == []
