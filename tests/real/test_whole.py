"""Nothing of ours on the other side: a person, a browser, a certified provider, a keyring, LiteLLM.

Only the place that exchanges the token for a key is a small server, which verifies what it is sent
as Anthropic's reference says, by the provider's published keys.
"""

from __future__ import annotations

import json
import os
import re
import signal
import tempfile
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from playwright.sync_api import Browser

from demo.provider import Provider
from tests.e2e.session import Session
from tests.support.browser import Person
from tests.support.federated import SETTINGS
from tests.support.jwks import Issuer, Published
from tests.support.keyring_session import keyring_session
from tests.support.oidc_provider import OidcProvider, oidc_provider
from tests.support.token_endpoints import TokenEndpoint
from tests.support.vendor_rules import RULES

pytestmark = pytest.mark.slow
_BUS = "DBUS_SESSION_BUS_ADDRESS"
_CONFIG = """
[store]
master_key = "passphrase"

[identity.work]
kind = "oidc"
issuer = "{issuer}"
client_id = "brokerctl"
resources = ["{audience}"]

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
import litellm
import openai

def ask():
    said = [{"role": "user", "content": "hello"}]
    answer = litellm.completion(model="anthropic/claude-sonnet-5", messages=said, num_retries=0)
    return answer.choices[0].message.content

print("first", ask(), flush=True)
input()
print("then", ask(), flush=True)
"""
_UNTIL_ITS_END = f"""{_APP}
input()
try:
    print("still", ask(), flush=True)
except openai.OpenAIError as refusal:
    print("refused", refusal)
"""


@contextmanager
def default_collection() -> Generator[Any]:
    """Open what the keyring holds."""
    import secretstorage  # there is none on macOS, where no test comes this far

    connection = secretstorage.dbus_init()
    try:
        yield secretstorage.get_default_collection(connection)
    finally:
        connection.close()


class World:
    """Somebody at a terminal with a keyring, a provider, and a team's key at Anthropic."""

    def __init__(self, session: Session, issuer: OidcProvider, endpoint: TokenEndpoint) -> None:
        self.session, self.issuer, self.endpoint = session, issuer, endpoint
        session.environment["ANTHROPIC_BASE_URL"] = endpoint.base
        settings = {"issuer": issuer.url, "audience": RULES["anthropic"].audience}
        settings |= {"url": endpoint.url, "port": str(endpoint.port), **SETTINGS["anthropic"]}
        session.write(".config/brokerctl/config.toml", _CONFIG.format(**settings))
        session.trust('ANTHROPIC_API_KEY = "anthropic/team"\n')

    def log_in(self, person: Person) -> str:
        """Log in with `brokerctl login`, and return the refresh token that is kept."""
        shell = self.session.terminal("brokerctl login --no-browser", NO_COLOR="1")
        shell.expect("waiting for the browser")
        found = re.search(r"http://127\.0\.0\.1:\d+/auth\?\S+", shell.seen)
        assert found, shell.seen
        person.log_in(found[0])
        assert shell.end() == 0, shell.seen
        assert person.page.title().startswith("You are signed in")
        return self.refresh_token()

    def refresh_token(self) -> str:
        """Return what the keyring holds, which must be nowhere else from now on."""
        (entry,) = self.entries()
        token = str(entry["refresh_token"])
        self.session.keys.append(token)
        return token

    def lock_keyring(self) -> None:
        """Lock it, as a screen saver may."""
        with default_collection() as collection:
            collection.lock()

    def entries(self) -> list[dict[str, Any]]:
        """Return what is in the keyring."""
        with default_collection() as collection:
            return [json.loads(each.get_secret()) for each in collection.get_all_items()]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with ExitStack() as stack:
        demo = stack.enter_context(Provider({"openai": "none yet", "anthropic": "none yet"}))
        # A socket's address is short, so the keyring stands not below pytest's folders.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bus = stack.enter_context(keyring_session(folder))[_BUS]
        issuer = stack.enter_context(oidc_provider())
        trusted = cast(Issuer, Published(issuer.url))  # only its `url` and `verify` are used
        endpoint = stack.enter_context(TokenEndpoint("anthropic", trusted))
        endpoint.subject = "ada"
        monkeypatch.setenv(_BUS, bus)
        session = Session(tmp_path, demo)
        session.environment[_BUS] = bus
        session.new_key()
        yield World(session, issuer, endpoint)
        session.keys += endpoint.given
        session.close()


def test_one_login_and_then_keys_that_die(world: World, browser: Browser) -> None:
    person = Person(browser)
    world.log_in(person)
    person.close()
    with world.session.starts(_APP) as app:
        assert app.says() == "first hello there"
        assert world.endpoint.exchanges == 1
        asked = world.endpoint.asked[-1].headers
        assert "x-api-key" not in asked
        assert "oauth-2025-04-20" in asked["anthropic-beta"]
        (lease,) = json.loads(world.session.run("brokerctl leases --json").stdout)
        assert lease["bounded_by"] == "provider"
        world.endpoint.revoke()
        app.go_on()
        assert app.says() == "then hello there"
        assert app.end() == 0
    assert world.endpoint.exchanges == 2


def test_a_key_is_served_while_its_identity_is_away_and_a_dead_one_is_not(
    world: World, browser: Browser
) -> None:
    person = Person(browser)
    world.log_in(person)
    person.close()
    with world.session.starts(_UNTIL_ITS_END) as app:
        assert app.says() == "first hello there"
        world.issuer.process.kill()
        app.go_on()
        assert app.says() == "then hello there"
        assert world.endpoint.exchanges == 1
        world.endpoint.revoke()
        app.go_on()
        assert app.end() == 0
    printed = world.session.printed[f"program {app.pid}"]
    assert "still" not in printed
    assert '"code": "backend.down"' in printed.partition("refused")[2]
    assert world.endpoint.exchanges == 1


def test_a_daemon_that_was_killed_needs_no_new_login(world: World, browser: Browser) -> None:
    person = Person(browser)
    first = world.log_in(person)
    person.close()
    os.kill(world.session.daemon_pid(), signal.SIGKILL)
    with world.session.starts(_APP) as app:
        assert app.says() == "first hello there"
    second = world.refresh_token()
    assert second != first
    assert not world.issuer.is_live(first)
    assert world.issuer.is_live(second)
    assert world.session.run("brokerctl logout").status == 0
    assert world.entries() == []
    assert not world.issuer.is_live(second)


def test_a_locked_keyring_is_said_and_not_waited_for(world: World, browser: Browser) -> None:
    person = Person(browser)
    world.log_in(person)
    person.close()
    os.kill(world.session.daemon_pid(), signal.SIGKILL)
    world.lock_keyring()
    with world.session.starts(_APP) as app:
        assert app.end() == 1
    printed = world.session.printed[f"program {app.pid}"]
    assert '"code": "backend.keyring"' in printed
    assert "unlock the keyring" in printed
    assert world.endpoint.exchanges == 0
