"""Keys that their provider lets die: how long are they given out, and what does each cost?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from brokershim.errors import BrokerError
from tests.security.scene import child_of
from tests.support.daemon import Daemon, World, new_world, started
from tests.support.federated import SETTINGS
from tests.support.jwks import Issuer
from tests.support.provider import Answer
from tests.support.puppet import Puppet, Stage
from tests.support.signing_identity import SigningIdentity
from tests.support.token_endpoints import TokenEndpoint
from tests.support.vendor_rules import RULES

_SECRET = "anthropic/team"
_PROCESSES = 50
_LIFE = 6.0
_CONFIG = """
[identity.work]
kind = "file"
path = "{token}"

[backend.team]
kind = "federation"
provider = "anthropic"
identity = "work"
jti_reuse = true
token_endpoint = "{url}"
hosts = ["127.0.0.1:{port}"]
federation_rule_id = "{federation_rule_id}"
organization_id = "{organization_id}"

[secret."anthropic/team"]
backend = "team"

[secret."anthropic/other"]
backend = "team"
"""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


@pytest.fixture
def endpoint(issuer: Issuer) -> Iterator[TokenEndpoint]:
    with TokenEndpoint("anthropic", issuer) as running:
        running.single_use = False
        yield running


@pytest.fixture
def daemon(issuer: Issuer, endpoint: TokenEndpoint) -> Iterator[Daemon]:
    with new_world() as world:
        values = {"token": _token(world, issuer), "url": endpoint.url, "port": endpoint.port}
        world.write_config("config.toml", _CONFIG.format(**values, **SETTINGS["anthropic"]))
        world.grant("*")
        with started(world) as running:
            yield running


@pytest.fixture
def root(daemon: Daemon) -> Iterator[Puppet]:
    """Return the root of a session for both secrets."""
    with Stage(daemon.world) as stage:
        made = stage.enter()
        env = {"A": _SECRET, "B": "anthropic/other"}
        made.call("session.open", program="/bin/true", env=env)
        yield made


def _token(world: World, issuer: Issuer) -> Path:
    path = world.home / "token"
    path.write_text(SigningIdentity(issuer).token(RULES["anthropic"].audience).value)
    path.chmod(0o600)
    return path


def test_claim_29_a_live_key_is_served_in_an_outage_and_a_dead_one_never(
    daemon: Daemon, root: Puppet, endpoint: TokenEndpoint
) -> None:
    endpoint.life = _LIFE
    begun = time.monotonic()
    key = root.call("lease.acquire", secret=_SECRET)["value"]
    endpoint.instead = [Answer(503)] * 1000  # away from now on
    served, refused = begun, ""
    while not refused:
        try:
            found = root.call("lease.acquire", secret=_SECRET)
        except BrokerError as error:
            # Its floor may be reached between the look at the key and the reply: "about to expire".
            refused = "" if error.kind == "backend" else error.kind
        else:
            assert found["value"] == key
            assert endpoint.is_alive(key)
            served = time.monotonic()
            root.call("lease.release", lease=found["lease"])
        assert time.monotonic() < begun + 2 * _LIFE
    assert refused == "backend.down"
    # To its floor, which is a quarter of its life; half of it was over when it was due.
    assert _LIFE * 0.6 < served - begun < _LIFE
    assert endpoint.exchanges == 1
    (health,) = daemon.call("daemon.status")["backends"]
    assert health["failures"] > 0
    assert len(endpoint.asked) < 10  # not each of those who asked
    failed = daemon.world.events("key.failed")
    assert {each["kind"] for each in failed} == {"backend.down"}


def test_claim_30_fifty_processes_at_once_cost_one_exchange(
    daemon: Daemon, root: Puppet, endpoint: TokenEndpoint
) -> None:
    children = [child_of(root) for _ in range(_PROCESSES)]
    for child in children:
        child.do("call('daemon.status', {})")  # connected, and ready to go
    for number, child in enumerate(children):
        name = _SECRET if number % 2 else "anthropic/other"
        child.begin(f"got = call('lease.acquire', {{'secret': {name!r}}})")
    for child in children:
        child.finish()
    assert {child.get("got['value']") for child in children} == set(endpoint.given)
    assert endpoint.exchanges == 1
    (fetched,) = daemon.world.events("key.fetched")
    leased = daemon.world.events("lease.acquired")
    assert (fetched["backend"], fetched["bounded_by"]) == ("team", "provider")
    assert len(leased) == _PROCESSES
    assert fetched["seq"] < min(each["seq"] for each in leased)
    assert {each["version"] for each in leased} == {fetched["version"]}
