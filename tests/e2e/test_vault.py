"""An app that knows nothing of it, with keys that are in a Vault or are made there for it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.session import ASKING, App, Session, eventually
from tests.e2e.transcript import as_json, shows
from tests.support.jwks import Issuer
from tests.support.postgres import Postgres
from tests.support.provider import Answer, Asked, Provider, key_of
from tests.support.vault import Server, dev_server

pytestmark = pytest.mark.slow

_AUDIENCE = "https://vault.example.com"
# In seconds: how often it looks, how old a key may get, a tick of the daemon, and how long a server
# is waited for.
_WATCH, _STALE, _TICK, _DEADLINE = 1, 4, 1, 15
_SLACK = 4  # that a busy machine may take
_CONFIG = """
[identity.work]
kind = "file"
path = "{token}"

[backend.corp]
kind = "vault"
address = "{url}"
login = "jwt"
auth_mount = "{auth}"
role = "{role}"
identity = "work"
audience = "{audience}"
watch = "{watch}s"

[secret."openai/dev"]
backend = "corp"
mount = "{mount}"
path = "llm/openai"
field = "key"
hosts = ["{host}"]
max_staleness = "{stale}s"

[secret."db/dev"]
backend = "corp"
engine = "dynamic"
path = "{database}"
field = "password"
hosts = ["{gateway}"]
"""
_TRUSTED = 'OPENAI_API_KEY = "openai/dev"\nDB_PASSWORD = "db/dev"\n'
_USING_THE_DATABASE = """
import os, httpx
key = os.environ["DB_PASSWORD"]
while True:
    input()
    answer = httpx.get(os.environ["GATEWAY"], headers={"authorization": "Bearer " + key})
    print(answer.status_code, key, flush=True)
"""


class Gateway(Provider):
    """What stands in front of a database, and logs in to it with the password that it is sent.

    Attributes:
        passwords: Those that the database took.
    """

    def __init__(self, database: Postgres) -> None:
        super().__init__(self._reply)
        self._database = database
        self.passwords: list[str] = []

    def _reply(self, asked: Asked) -> Answer:
        password = key_of(asked)
        if not any(self._database.takes(user, password) for user in self._database.users()):
            return Answer(401)
        self.passwords.append(password)
        return Answer(200)


class Corp:
    """A home whose keys come from a Vault.

    Attributes:
        session: The home.
        server: The Vault.
        mount: Where its static keys are.
        database: What is read there to get a user of the database.
    """

    def __init__(self, session: Session, server: Server, mount: str, database: str) -> None:
        self.session, self.server = session, server
        self.mount, self.database = mount, database

    def put(self) -> str:
        """Put a new key into the Vault, which the provider takes too."""
        key = self.session.new_key()
        self.server.put(self.mount, "llm/openai", key=key)
        return key

    def leases(self) -> list[str]:
        """Return the server's own list of what it made for us."""
        return self.server.leases(f"{self.database}/")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with dev_server() as running:  # its own: it is made to hang
        yield running


@pytest.fixture
def gateway(postgres_server: Postgres) -> Iterator[Gateway]:
    running = Gateway(postgres_server)
    with running:
        yield running


@pytest.fixture
def corp(
    fresh: Session, server: Server, postgres_server: Postgres, gateway: Gateway
) -> Iterator[Corp]:
    """Make a home with two secrets of a Vault, and a project that may use them."""
    with Issuer() as issuer:
        made = Corp(fresh, server, server.kv(), postgres_server.mount(server))
        role = server.jwt(issuer.url, _AUDIENCE, _policy(made), token_ttl="10m")
        token = Path(fresh.write("token", issuer.kubernetes(_AUDIENCE)))
        values = {"url": server.url, "auth": role.mount, "role": role.role, "mount": made.mount}
        places = {"host": fresh.provider.host, "gateway": f"127.0.0.1:{gateway.port}"}
        times = {"watch": _WATCH, "stale": _STALE, "audience": _AUDIENCE}
        config = _CONFIG.format(token=token, database=made.database, **values, **places, **times)
        fresh.write(".config/brokerctl/config.toml", config)
        fresh.environment["GATEWAY"] = gateway.url
        made.put()
        fresh.trust(_TRUSTED)
        yield made
        fresh.keys += gateway.passwords  # which must be nowhere now


def _policy(corp: Corp) -> str:
    return corp.server.policy(
        {
            f"{corp.mount}/data/llm/openai": ["read"],
            f"{corp.mount}/metadata/llm/openai": ["read"],
            corp.database: ["read"],
            "sys/leases/revoke": ["update"],
            "sys/leases/renew": ["update"],
            "auth/token/revoke-accessor": ["update"],
        }
    )


def test_the_first_command_shows_what_the_login_may_do(corp: Corp) -> None:
    shows(
        corp.session,
        "brokerctl backend check corp",
        """
        SECRET      PATH                          HAS     LACKS  TOO MUCH
        openai/dev  …/data/llm/openai             read    -      -
        openai/dev  …/metadata/llm/openai         read    -      -
        db/dev      …/creds/llm                   read    -      -
        -           auth/token/renew-self         update  -      -
        -           auth/token/revoke-self        update  -      -
        -           sys/leases/revoke             update  -      -
        -           sys/leases/renew              update  -      -
        -           sys/leases/lookup             update  -      -
        -           auth/token/revoke-accessor    update  -      -
        """,
    )


def test_a_key_that_is_changed_in_the_server_reaches_a_running_app(corp: Corp) -> None:
    with corp.session.starts(ASKING) as app:
        assert _key_that_is_used(corp, app) == corp.session.keys[-1]
        newer, begun = corp.put(), time.monotonic()
        assert eventually(lambda: _key_that_is_used(corp, app) == newer)
        assert time.monotonic() - begun < _WATCH + _TICK + _SLACK
        assert all(each.accepted for each in corp.session.provider.asked)
    (rotated,) = corp.session.events(event="lease.ended", reason="secret rotated")
    assert rotated["secret"] == "openai/dev"


def test_a_user_of_the_database_lives_as_long_as_its_session(
    corp: Corp, postgres_server: Postgres, gateway: Gateway
) -> None:
    with corp.session.starts(_USING_THE_DATABASE) as app:
        app.go_on()
        assert app.says() == "200 brokerref:db/dev"
        (lease,), users = corp.leases(), postgres_server.users()
        app.go_on()
        assert app.says() == "200 brokerref:db/dev"
        assert (corp.leases(), postgres_server.users()) == ([lease], users)
    assert eventually(lambda: corp.leases() == [])
    assert postgres_server.users() == set()
    assert len(set(gateway.passwords)) == 1
    (leased,) = corp.session.events(event="lease.acquired")
    assert leased["bounded_by"] == "backend"


def test_a_daemon_that_is_stopped_gives_all_of_it_back(
    corp: Corp, postgres_server: Postgres
) -> None:
    before = corp.server.accessors()
    with corp.session.starts(_USING_THE_DATABASE) as app:
        app.go_on()
        assert app.says() == "200 brokerref:db/dev"
        assert corp.server.accessors() > before
        assert corp.session.run("brokerctl daemon stop").status == 0
        assert (corp.leases(), postgres_server.users()) == ([], set())
        assert corp.server.accessors() == before


def test_in_an_outage_a_key_is_served_until_it_is_stale_and_no_longer(corp: Corp) -> None:
    with corp.session.starts(ASKING) as app:
        assert _key_that_is_used(corp, app) == corp.session.keys[-1]
        with corp.server.process.paused():
            served = hangs = time.monotonic()
            (backend,) = as_json(corp.session, "brokerctl status")["backends"]
            assert 0 < backend["served_for"] <= _STALE
            while (answer := _answer(app)).startswith("Hello"):
                served = time.monotonic()
            assert hangs < served < hangs + _STALE + _SLACK
            assert time.monotonic() - served < _DEADLINE + _SLACK
            assert answer.startswith("403 brokerctl: ")
            assert "does not answer" in answer
        assert eventually(lambda: _answer(app).startswith("Hello"))


def _key_that_is_used(corp: Corp, app: App) -> str:
    """Let the app ask, and return the key that its provider got."""
    _answer(app)
    return corp.session.provider.asked[-1].key


def _answer(app: App) -> str:
    app.go_on()
    return app.says()
