"""Logins: who can finish one, where do its tokens go, and what is left after a logout?"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from brokershim.errors import BrokerError, LoginRefused, LoginRequired, NotFound, ServerDown
from demo import search
from demo.forms import Needles
from tests.security.scene import STRANGER_UID
from tests.support.daemon import Daemon, new_world, plain_python, started, wait_until
from tests.support.issuer import CLIENT, OpenIdIssuer, refusal
from tests.support.provider import Answer, Asked
from tests.support.puppet import Puppet, Stage
from tests.support.require import require_linux, require_root

_SECRET = "openai/team"
_KEY = "sk-proj-canary-of-a-login-5b1e09c7d2"
_CONFIG = """
[store]
master_key = "passphrase"

[identity.work]
kind = "oidc"
issuer = "{issuer}"
client_id = "{client}"
keep = "memory"

[backend.team]
kind = "federation"
provider = "openai"
identity = "work"
token_endpoint = "{issuer}/exchange"
audience = "{client}"
identity_provider_id = "idp_1"
service_account_id = "sa_1"

[secret."openai/team"]
backend = "team"
"""
_STRANGER = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as there:
    there.sendall(sys.argv[2].encode())
    if sys.argv[3] == "False":
        print(there.recv(65536).decode())
"""


class Office:
    """A daemon, a provider, and the root of a session.

    Attributes:
        daemon: The daemon.
        issuer: The provider; it also gives keys for its tokens.
        root: The session's root.
        sent: The identity's tokens that were exchanged.
    """

    def __init__(self, daemon: Daemon, issuer: OpenIdIssuer, stage: Stage) -> None:
        self.daemon, self.issuer, self.stage = daemon, issuer, stage
        self.sent: list[str] = []
        issuer.instead["/exchange"] = self._exchange
        self.root = stage.enter()
        self.root.call("session.open", program="/bin/true", env={"K": _SECRET})

    def begin(self, who: Puppet) -> tuple[str, str]:
        """Let a process begin a login; return its number and where the person goes."""
        begun = who.call("login.begin", identity="work", mode="browser")
        return begun["login"], begun["url"]

    def log_in(self, who: Puppet) -> None:
        """Let a process log in, and its person consent."""
        login, url = self.begin(who)
        assert get(self.issuer.consent(url)) == 303
        assert who.call("login.wait", login=login, seconds=20)["done"]

    def lease(self) -> dict[str, Any]:
        """Lease the key."""
        return self.root.call("lease.acquire", secret=_SECRET)

    def _exchange(self, asked: Asked) -> Answer:
        self.sent.append(json.loads(asked.body)["subject_token"])
        answer = {"access_token": _KEY, "token_type": "Bearer", "expires_in": 600}
        return Answer(body=json.dumps(answer).encode())


@contextmanager
def new_office(issuer: OpenIdIssuer, **environ: str) -> Generator[Office]:
    """Run one."""
    with new_world() as world:
        world.environ.update(environ)
        text = _CONFIG.format(issuer=issuer.url, client=CLIENT)
        world.write_config("config.toml", text)
        world.grant("*")
        with started(world) as daemon, Stage(world) as stage:
            yield Office(daemon, issuer, stage)


@pytest.fixture
def issuer() -> Iterator[OpenIdIssuer]:
    with OpenIdIssuer() as running:
        yield running


@pytest.fixture
def office(issuer: OpenIdIssuer) -> Iterator[Office]:
    with new_office(issuer) as made:
        yield made


def get(url: str, method: str = "GET", **headers: str) -> int:
    """Ask for a page, and for the one that it leads to; return the first one's status."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        connection.request(method, f"{parts.path}?{parts.query}", headers=headers)
        answer = connection.getresponse()
    finally:
        connection.close()
    if answer.status == HTTPStatus.SEE_OTHER:
        assert get(f"http://{parts.netloc}{answer.headers['location']}") == HTTPStatus.OK
    return answer.status


def refused(who: Puppet, method: str, **params: Any) -> BrokerError:
    with pytest.raises(BrokerError) as caught:
        who.call(method, **params)
    return caught.value


def test_claim_31_no_token_of_a_login_is_anywhere_but_in_the_daemon(office: Office) -> None:
    person = office.stage.enter()
    login, url = office.begin(person)
    assert get(office.issuer.consent(url)) == 303
    office.daemon.call("identity.list")
    replies: list[object] = [url, person.call("login.wait", login=login, seconds=20)]
    replies += [office.lease(), office.lease()]
    replies += [office.daemon.call(each) for each in ("identity.list", "daemon.status")]
    spent = office.issuer.asked_for("/token")
    tokens = [each["refresh_token"] for each in spent if "refresh_token" in each]
    tokens += [*office.issuer.good, *office.sent, spent[0]["code_verifier"], spent[0]["code"]]
    assert len(tokens) == 5
    needles = Needles(tokens)
    looked = [
        search.in_processes(needles, "environ"),
        search.in_processes(needles, "cmdline"),
        search.in_folders(needles, [str(office.daemon.world.root)]),
        search.in_texts(needles, {"replies": json.dumps(replies)}),
    ]
    assert all(each.places for each in looked)
    assert [place for each in looked for place in each.found] == []


def test_claim_32_nobody_finishes_or_ends_a_login_who_does_not_know_its_address(
    office: Office,
) -> None:
    person, stranger = office.stage.enter(), office.stage.enter()
    login, url = office.begin(person)
    honest = office.issuer.consent(url)
    assert get(f"{honest}&state=another") == 400  # twice
    for state in ("", "guess", login):
        assert get(office.issuer.consent(url, state=state)) == 400
        assert get(f"{honest.partition('?')[0]}?error=access_denied&state={state}") == 400
    assert get(honest, Host="rebound.example") == 421
    assert get(honest, "POST") == 405
    assert isinstance(refused(stranger, "login.wait", login=login, seconds=0), NotFound)
    assert isinstance(refused(stranger, "login.answer", login=login, value="1"), NotFound)
    assert isinstance(refused(stranger, "login.cancel", login=login), NotFound)
    assert refused(stranger, "login.begin", identity="work", mode="browser").kind == (
        "denied.login_under_way"
    )
    assert not person.call("login.wait", login=login, seconds=0)["done"]
    assert office.issuer.asked_for("/token") == []  # nothing of it went on
    assert get(honest) == 303
    assert person.call("login.wait", login=login, seconds=20)["done"]
    with pytest.raises(ConnectionRefusedError):
        get(honest)  # a second time: nobody listens there any more
    assert len(office.issuer.asked_for("/token")) == 1


def test_claim_32_a_flood_on_its_port_neither_stops_a_login_nor_fills_the_log(
    office: Office,
) -> None:
    """The daemon's log is looked at as it ends: nothing may be there that nobody handled."""
    person = office.stage.enter()
    login, url = office.begin(person)
    honest = office.issuer.consent(url)
    port = urlsplit(dict(parse_qsl(urlsplit(url).query))["redirect_uri"]).port
    with ExitStack() as stack:
        for _ in range(100):
            flooding = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            flooding.sendall(b"GET /callback?state=x HTTP/1.1\r\n")
        assert get(honest) == 303
        assert person.call("login.wait", login=login, seconds=20)["done"]


@pytest.mark.parametrize("hangs_up", [False, True])
def test_claim_32_another_user_who_knows_the_address_does_not_finish_it(
    office: Office, *, hangs_up: bool
) -> None:
    require_linux()
    require_root()
    person = office.stage.enter()
    login, url = office.begin(person)
    address = urlsplit(office.issuer.consent(url))
    host, target = address.netloc, f"{address.path}?{address.query}"
    request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"
    command = [*plain_python(), "-c", _STRANGER, str(address.port), request, str(hangs_up)]
    found = subprocess.run(command, user=STRANGER_UID, capture_output=True, check=True, text=True)
    assert hangs_up or "400 Bad Request" in found.stdout
    assert not person.call("login.wait", login=login, seconds=0.5)["done"]
    assert get(address.geturl()) == 303
    assert person.call("login.wait", login=login, seconds=20)["done"]


@pytest.mark.parametrize("changes", [{"iss": "https://another.example"}, {"code": "made-up"}])
def test_claim_32_an_answer_with_what_another_login_brought_is_none(
    office: Office, changes: dict[str, str]
) -> None:
    person = office.stage.enter()
    login, url = office.begin(person)
    assert get(office.issuer.consent(url, **changes)) == 303
    assert isinstance(refused(person, "login.wait", login=login, seconds=20), LoginRefused)
    assert isinstance(refused(office.root, "lease.acquire", secret=_SECRET), LoginRequired)


def test_claim_32_a_code_of_another_login_is_of_no_use(office: Office) -> None:
    """PKCE (RFC 7636): whoever has a code has no verifier, and a code of theirs fits no other."""
    person = office.stage.enter()
    first, url = office.begin(person)
    code = dict(parse_qsl(urlsplit(office.issuer.consent(url)).query))["code"]
    person.call("login.cancel", login=first)
    login, url = office.begin(person)
    assert get(office.issuer.consent(url, code=code)) == 303
    assert isinstance(refused(person, "login.wait", login=login, seconds=20), LoginRefused)


@pytest.mark.parametrize("status", [302, 307])
def test_claim_33_no_redirect_takes_a_token_to_another_server(office: Office, status: int) -> None:
    person = office.stage.enter()
    with OpenIdIssuer() as other:
        for path in ("/exchange", "/revoke", "/token"):
            office.issuer.instead.pop("/token", None)
            office.log_in(person)
            office.issuer.instead[path] = _leading_to(f"{other.url}{path}", status)
            assert refused(office.root, "lease.acquire", secret=_SECRET).kind == "backend.down"
            before = len(office.issuer.asked)
            with suppress(ServerDown):  # of what could not be given back
                person.call("identity.logout", identity="work")
            assert len(office.issuer.asked) == before + 1
        login, url = office.begin(person)
        assert get(office.issuer.consent(url)) == 303
        error = refused(person, "login.wait", login=login, seconds=20)
        assert "redirects" in error.message
        assert other.asked == []


def _leading_to(url: str, status: int) -> Callable[[Asked], Answer]:
    return _answering(Answer(status, b"", (("location", url),)))


def _answering(answer: Answer) -> Callable[[Asked], Answer]:
    return lambda _: answer


@pytest.mark.parametrize("key", ["token_endpoint", "jwks_uri", "authorization_endpoint"])
@pytest.mark.parametrize(
    "where", ["http://192.0.2.1/x", "ftp://127.0.0.1/x", "javascript:alert(1)"]
)
def test_claim_33_no_provider_names_an_address_without_tls(
    office: Office, key: str, where: str
) -> None:
    office.issuer.metadata[key] = where
    error = refused(office.stage.enter(), "login.begin", identity="work", mode="browser")
    assert "not https" in error.message


def test_claim_33_no_proxy_sees_a_token(issuer: OpenIdIssuer) -> None:
    with OpenIdIssuer() as proxy:
        names = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY")
        with new_office(issuer, **dict.fromkeys(names, proxy.url)) as office:
            office.log_in(office.stage.enter())
            assert office.lease()["value"] == _KEY
        assert proxy.asked == []


def test_claim_34_a_logout_ends_what_the_login_gave(office: Office) -> None:
    office.log_in(office.stage.enter())
    lease = office.lease()["lease"]
    (token,) = office.issuer.good
    begun = time.monotonic()
    office.stage.enter().call("identity.logout", identity="work")
    wait_until(lambda: office.daemon.call("lease.list")["leases"] == [], 2)
    assert time.monotonic() - begun < 1.5
    assert [each[1]["lease"] for each in office.root.told() if each] == [lease]
    assert refused(office.root, "lease.renew", lease=lease).kind == "not_found.lease"
    assert isinstance(refused(office.root, "lease.acquire", secret=_SECRET), LoginRequired)
    assert office.issuer.revoked == [token]
    assert not office.issuer.good
    (event,) = office.daemon.world.events("identity.logged_out")
    assert event["provider_told"] is True


def test_claim_34_another_persons_login_gets_no_key_of_the_one_before(office: Office) -> None:
    person = office.stage.enter()
    office.log_in(person)
    office.lease()
    office.issuer.claims = {"sub": "user-2", "email": "bob@example.org"}
    office.log_in(person)
    wait_until(lambda: office.daemon.call("lease.list")["leases"] == [], 2)
    office.lease()
    assert len(office.sent) == 2


@pytest.mark.parametrize("name", ["\x1b]0;owned\x07", "\u202eevil", "two\nlines"])
def test_claim_35_what_a_provider_says_drives_no_terminal(office: Office, name: str) -> None:
    person = office.stage.enter()
    office.issuer.claims = {"email": name, "name": name, "preferred_username": name}
    office.log_in(person)
    (row,) = office.daemon.call("identity.list")["identities"]
    assert row["subject"] == "user-1"
    for claims in ({"sub": name, "email": None}, {"iss": name}):
        office.issuer.claims = claims
        login, url = office.begin(person)
        assert get(office.issuer.consent(url)) == 303
        assert refused(person, "login.wait", login=login, seconds=20).message.isprintable()
    office.issuer.instead["/token"] = lambda _: refusal("invalid_client", name)
    office.issuer.instead["/exchange"] = lambda _: refusal("invalid_request", name)
    assert refused(office.root, "lease.acquire", secret=_SECRET).message.isprintable()


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "http://192.0.2.1/"])
def test_claim_35_a_person_is_sent_to_web_pages_only(office: Office, url: str) -> None:
    person = office.stage.enter()
    for named in ({"verification_uri": url}, {"verification_uri_complete": url}):
        document = {"device_code": "d", "user_code": "WDJB", "expires_in": 600}
        answer = Answer(body=json.dumps({**document, **named}).encode())
        office.issuer.instead["/device"] = _answering(answer)
        error = refused(person, "login.begin", identity="work", mode="device")
        assert "not https" in error.message
