"""What is sent to each provider, and how is its key to be shown?"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import pytest

from brokerd.backends.federation.formats import FORMATS
from brokerd.model import Delivery
from tests.support.federated import NAME, SETTINGS, Federated, federated
from tests.support.provider import Asked
from tests.support.vendor_rules import JWT, RULES


def _fields(asked: Asked) -> dict[str, Any]:
    if asked.headers["content-type"] == "application/json":
        found: dict[str, Any] = json.loads(asked.body)
        return found
    return dict(parse_qsl(asked.body.decode(), strict_parsing=True))


def test_every_provider_takes_what_it_is_sent(each: Federated) -> None:
    key = each.backend.fetch(NAME).value.decode()
    assert each.endpoint.is_alive(key)
    assert each.endpoint.exchanges == 1
    assert each.identity.audiences == [RULES[each.kind].audience]


def test_every_rule_of_the_test_servers_has_its_format() -> None:
    assert FORMATS.keys() == RULES.keys()
    for kind, form in FORMATS.items():
        if form.endpoint is not None:
            assert form.endpoint.endswith(RULES[kind].path)
            assert form.audience == RULES[kind].audience


# Either SDK takes seconds to import: not while tests are collected, which every worker does.


def test_anthropic_is_asked_as_its_own_sdk_asks(one: Federated) -> None:
    import anthropic
    from anthropic.lib.credentials import WorkloadIdentityCredentials

    one.backend = one.build({"service_account_id": "svac_1", "workspace_id": "default"})
    one.backend.fetch(NAME)
    theirs = WorkloadIdentityCredentials(
        identity_token_provider=lambda: one.identity.token(RULES["anthropic"].audience).value,
        federation_rule_id=SETTINGS["anthropic"]["federation_rule_id"],
        organization_id=SETTINGS["anthropic"]["organization_id"],
        service_account_id="svac_1",
        workspace_id="default",
    )
    with anthropic.Anthropic(credentials=theirs, base_url=one.endpoint.base) as client:
        client.messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "hello"}]
        )
    mine, its, model = one.endpoint.asked
    _same_question(mine, its, "assertion")
    assert _betas(mine) == _betas(its)
    # How the SDK shows the token is how the shim is told to.
    delivery = one.backend.describe(NAME).delivery
    assert delivery.bearer
    assert model.headers["authorization"].startswith("Bearer ")
    assert _betas(model) == {delivery.headers["anthropic-beta"]}


def test_openai_is_asked_as_its_own_sdk_asks() -> None:
    import openai
    from openai.auth import WorkloadIdentity

    with federated("openai") as parts:
        parts.backend.fetch(NAME)
        settings = SETTINGS["openai"]
        who: WorkloadIdentity = {
            "identity_provider_id": settings["identity_provider_id"],
            "service_account_id": settings["service_account_id"],
            "provider": {
                "token_type": "jwt",
                "get_token": lambda: parts.identity.token(RULES["openai"].audience).value,
            },
        }
        with openai.OpenAI(workload_identity=who, base_url=parts.endpoint.base) as client:
            assert client._workload_identity_auth is not None
            client._workload_identity_auth.token_exchange_url = parts.endpoint.url
            client.chat.completions.create(model="m", messages=[])
        mine, its, model = parts.endpoint.asked
        _same_question(mine, its, "subject_token")
        assert _fields(mine)["subject_token_type"] == JWT
        assert model.headers["authorization"].startswith("Bearer ")
        assert parts.backend.describe(NAME).delivery == Delivery(bearer=True)


def _same_question(mine: Asked, its: Asked, assertion: str) -> None:
    assert (mine.method, mine.target) == (its.method, its.target) == ("POST", its.target)
    assert mine.headers["content-type"] == its.headers["content-type"]
    ours, theirs = _fields(mine), _fields(its)
    assert ours.pop(assertion) != theirs.pop(assertion)  # the same but for a new jti
    assert ours == theirs


def _betas(asked: Asked) -> set[str]:
    return {each.strip() for each in asked.headers.get("anthropic-beta", "").split(",")}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": "Bearer {}", "anthropic-beta": "x, oauth-2025-04-20"}, 200),
        ({"authorization": "Bearer {}"}, 401),
        ({"x-api-key": "{}", "anthropic-beta": "oauth-2025-04-20"}, 401),
        (
            {"authorization": "Bearer {}", "x-api-key": "", "anthropic-beta": "oauth-2025-04-20"},
            401,
        ),
        ({"authorization": "Bearer no", "anthropic-beta": "oauth-2025-04-20"}, 401),
    ],
)
def test_the_test_server_serves_as_anthropic_does(
    one: Federated, headers: dict[str, str], status: int
) -> None:
    key = one.backend.fetch(NAME).value.decode()
    shown = {name: value.format(key) for name, value in headers.items()}
    url = one.endpoint.base + "/v1/messages"
    assert httpx2.post(url, headers=shown, json={"model": "m"}).status_code == status
    one.endpoint.revoke()
    assert httpx2.post(url, headers=shown, json={"model": "m"}).status_code == 401


@pytest.mark.parametrize("kind", ["openai", "rfc8693"])
def test_another_kind_of_token(kind: str) -> None:
    with federated(kind) as parts:
        parts.build({"subject_token_type": "id_token"}).fetch(NAME)
        assert _fields(parts.endpoint.asked[0])["subject_token_type"].endswith(":id_token")


def test_all_that_a_general_server_may_want() -> None:
    more = {
        "scope": "chat",
        "resource": "https://gateway.example/api",
        "client_id": "broker",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
    }
    with federated("rfc8693") as parts:
        parts.build(more).fetch(NAME)
        sent = _fields(parts.endpoint.asked[0])
        assert {name: sent[name] for name in more} == more


def test_a_secret_may_have_a_scope_of_its_own() -> None:
    with federated("rfc7523") as parts:
        parts.build({"scope": "chat"}, scope="embed").fetch(NAME)
        assert _fields(parts.endpoint.asked[0])["scope"] == "embed"
