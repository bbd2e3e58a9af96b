"""An app that knows nothing of it, with a key that its provider lets die."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.session import Session
from tests.support.federated import SETTINGS
from tests.support.jwks import Issuer
from tests.support.provider import Answer, Asked
from tests.support.signing_identity import SigningIdentity
from tests.support.token_endpoints import TokenEndpoint
from tests.support.vendor_rules import RULES

_CONFIG = """
[identity.work]
kind = "file"
path = "{token}"

[backend.team]
kind = "federation"
provider = "anthropic"
identity = "work"
token_endpoint = "{url}"
hosts = ["127.0.0.1:{port}"]
federation_rule_id = "{federation_rule_id}"
organization_id = "{organization_id}"

[secret."anthropic/team"]
backend = "team"
"""
_APP = """
import os, sys
import httpx
for _ in range(2):
    answer = httpx.post(
        os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages",
        headers={"x-api-key": os.environ["ANTHROPIC_API_KEY"], "anthropic-beta": "its-own"},
        json={"model": "m"},
    )
    print(answer.status_code, os.environ["ANTHROPIC_API_KEY"])
    print(answer.text, file=sys.stderr)
"""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


@pytest.fixture
def endpoint(issuer: Issuer) -> Iterator[TokenEndpoint]:
    with TokenEndpoint("anthropic", issuer) as running:
        yield running


@pytest.fixture
def team(fresh: Session, issuer: Issuer, endpoint: TokenEndpoint) -> Iterator[Session]:
    """Make a home with one federated secret, and a project that may use it."""
    token = Path(fresh.write("token", _token(issuer)))
    token.chmod(0o600)
    settings = {"token": token, "url": endpoint.url, "port": endpoint.port}
    fresh.write(
        ".config/brokerctl/config.toml", _CONFIG.format(**settings, **SETTINGS["anthropic"])
    )
    fresh.environment["ANTHROPIC_BASE_URL"] = endpoint.base
    fresh.trust('ANTHROPIC_API_KEY = "anthropic/team"\n')
    fresh.script("app.py", _APP)
    yield fresh
    fresh.keys += [*endpoint.given, *_sent(endpoint)]  # which must be nowhere now
    token.unlink()


def _token(issuer: Issuer) -> str:
    return SigningIdentity(issuer).token(RULES["anthropic"].audience).value


def _sent(endpoint: TokenEndpoint) -> list[str]:
    """Return the tokens of the identity that reached the provider."""
    bodies = [json.loads(asked.body) for asked in endpoint.asked]
    return [body["assertion"] for body in bodies if "assertion" in body]


def test_an_app_uses_a_key_that_dies_by_itself(team: Session, endpoint: TokenEndpoint) -> None:
    done = team.run("brokerctl run python app.py")
    assert done.stdout == "200 brokerref:anthropic/team\n" * 2, done
    assert endpoint.exchanges == 1
    model = endpoint.asked[-1].headers
    assert "x-api-key" not in model
    assert model["anthropic-beta"].split(",")[0] == "its-own"
    (leased,) = team.events(event="lease.acquired")
    assert leased["bounded_by"] == "provider"


def test_a_key_that_the_provider_ended_is_exchanged_anew(
    team: Session, issuer: Issuer, endpoint: TokenEndpoint
) -> None:
    assert team.run("brokerctl run python app.py").status == 0
    endpoint.revoke()
    team.write("token", _token(issuer))
    done = team.run("brokerctl run python app.py")
    assert done.stdout == "200 brokerref:anthropic/team\n" * 2, done
    assert endpoint.exchanges == 2


def test_what_cannot_be_exchanged_again_is_said_to_the_app(
    team: Session, endpoint: TokenEndpoint
) -> None:
    assert team.run("brokerctl run python app.py").status == 0
    endpoint.revoke()
    done = team.run("brokerctl run python app.py")  # the file still holds the token of before
    assert "was sent to" in done.stderr, done
    assert "jti_reuse" in done.stderr
    assert endpoint.exchanges == 1
    assert sum(asked.target == RULES["anthropic"].path for asked in endpoint.asked) == 1


def test_a_provider_that_repeats_what_it_was_sent_spreads_no_token(
    team: Session, endpoint: TokenEndpoint
) -> None:
    def echo(asked: Asked) -> Answer:
        words = f"what I got is {asked.body.decode()}"
        return Answer(401, json.dumps({"error": "no", "error_description": words}).encode())

    endpoint.instead = [echo]
    done = team.run("brokerctl run python app.py")
    assert "refuses the exchange: no: what I got is" in done.stderr, done
    assert len(_sent(endpoint)) == 1
    assert len(team.events(event="key.failed")) >= 1
