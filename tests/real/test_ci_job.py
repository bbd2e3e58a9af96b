"""A job of GitHub Actions, with nobody there: its own identity becomes a key that dies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.provider import Provider
from tests.e2e.session import Session
from tests.support.ci_claims import GITHUB_SUBJECT
from tests.support.federated import SETTINGS
from tests.support.jwks import Issuer
from tests.support.token_endpoints import TokenEndpoint

_CONFIG = """
[identity.job]
kind = "ci"

[backend.team]
kind = "federation"
provider = "anthropic"
identity = "job"
token_endpoint = "{url}"
hosts = ["127.0.0.1:{port}"]
federation_rule_id = "{federation_rule_id}"
organization_id = "{organization_id}"

[secret."anthropic/team"]
backend = "team"
"""
_APP = """
import os, httpx
print(sorted(name for name in os.environ if name.startswith("ACTIONS_ID_TOKEN")))
answer = httpx.post(
    os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages",
    headers={"x-api-key": os.environ["ANTHROPIC_API_KEY"]},
    json={"model": "m"},
)
print(answer.status_code)
"""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


@pytest.fixture
def endpoint(issuer: Issuer) -> Iterator[TokenEndpoint]:
    with TokenEndpoint("anthropic", issuer) as running:
        running.subject = GITHUB_SUBJECT
        yield running


@pytest.fixture
def job(tmp_path: Path, issuer: Issuer, endpoint: TokenEndpoint) -> Iterator[Session]:
    with Provider({"openai": "none yet", "anthropic": "none yet"}) as demo:
        session = Session(tmp_path, demo)
        session.environment |= {**issuer.github_job(), "ANTHROPIC_BASE_URL": endpoint.base}
        settings = {"url": endpoint.url, "port": endpoint.port, **SETTINGS["anthropic"]}
        session.write(".config/brokerctl/config.toml", _CONFIG.format(**settings))
        session.trust('ANTHROPIC_API_KEY = "anthropic/team"\n')
        session.script("app.py", _APP)
        session.new_key()
        yield session
        bodies = [json.loads(asked.body) for asked in endpoint.asked]
        session.keys += [body["assertion"] for body in bodies if "assertion" in body]
        session.keys += endpoint.given
        session.close()


def test_a_job_needs_no_key_and_nobody(job: Session, endpoint: TokenEndpoint) -> None:
    done = job.run("brokerctl run python app.py")
    assert done.stdout.splitlines() == ["[]", "200"], done  # the app cannot be the job itself
    assert endpoint.exchanges == 1
    (leased,) = job.events(event="lease.acquired")
    assert leased["bounded_by"] == "provider"


def test_a_job_of_another_repository_gets_none(job: Session, endpoint: TokenEndpoint) -> None:
    endpoint.subject = "repo:octo-org/another:ref:refs/heads/main"
    done = job.run("brokerctl run python app.py")
    assert done.stdout.splitlines() == ["[]", "403"], done
    assert endpoint.given == []
    refused = job.events(kind="denied.exchange_refused")
    assert refused[-1]["secret"] == "anthropic/team", job.events()
