"""Does a person who sits at a terminal get logged in, and their app its key?

The provider is small but strict (`tests.support.issuer`), and the browser is a program that goes
where it is sent, and consents. Real providers and real browsers: tests/real.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from joserfc import jwt

from tests.brokerctl.pseudo_terminal import PseudoTerminal
from tests.e2e.session import Session, eventually
from tests.support.issuer import CLIENT, KEYS, OpenIdIssuer
from tests.support.keyring_session import keyring_session
from tests.support.provider import Answer, Asked

_CONFIG = """
[store]
master_key = "passphrase"

[identity.work]
kind = "oidc"
issuer = "{issuer}"
client_id = "{client}"
keep = "{keep}"

[backend.team]
kind = "federation"
provider = "openai"
identity = "work"
token_endpoint = "{issuer}/exchange"
audience = "{client}"
hosts = ["{host}"]
identity_provider_id = "idp_1"
service_account_id = "sa_1"

[secret."openai/team"]
backend = "team"
"""
_BROWSER = """#!{python} -I
import os, sys, time, urllib.request
page = urllib.request.urlopen(sys.argv[1], timeout=20)
with open({path!r} + ".new", "w") as file:
    file.write(page.url + "\\n" + page.read().decode())
os.rename({path!r} + ".new", {path!r})
"""
_LAZY_BROWSER = """#!/bin/sh
echo $$ >'{path}.new' && mv '{path}.new' '{path}' && exec sleep 60
"""


class Person:
    """Somebody with a provider that knows them, and a browser.

    Attributes:
        session: Their home.
        issuer: The provider; it also gives keys for tokens.
        page: What the browser showed in the end, its address first.
    """

    def __init__(self, session: Session, issuer: OpenIdIssuer) -> None:
        self.session, self.issuer = session, issuer
        self.page = Path(session.root) / "page"
        issuer.instead["/authorize"] = self._authorize
        issuer.instead["/exchange"] = self._exchange
        self.browser(_BROWSER)
        self.configure("memory")
        session.trust('OPENAI_API_KEY = "openai/team"\n')

    def configure(self, keep: str) -> None:
        """Write config.toml."""
        host = self.session.provider.host
        text = _CONFIG.format(issuer=self.issuer.url, client=CLIENT, host=host, keep=keep)
        self.session.write(".config/brokerctl/config.toml", text)

    def browser(self, text: str) -> None:
        """Let them have this one."""
        text = text.format(python=os.path.realpath(sys.executable), path=str(self.page))
        path = self.session.write("a-browser", text)
        Path(path).chmod(0o700)
        self.session.environment["BROWSER"] = path

    def types(self, command: str, **env: str) -> PseudoTerminal:
        """Type a command."""
        return self.session.terminal(command, NO_COLOR="1", **env)

    def _authorize(self, asked: Asked) -> Answer:
        question = f"{self.issuer.url}{asked.target}"
        return Answer(302, b"", (("location", self.issuer.consent(question)),))

    def _exchange(self, asked: Asked) -> Answer:
        token = json.loads(asked.body)["subject_token"]
        claims = jwt.decode(token, KEYS[0], algorithms=["RS256"]).claims
        assert claims["aud"] == CLIENT
        self.session.keys.append(token)  # which must be nowhere either
        return Answer(
            body=json.dumps(
                {
                    "access_token": self.session.new_key(),
                    "token_type": "Bearer",
                    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
                    "expires_in": 600,
                }
            ).encode()
        )


@pytest.fixture
def person(fresh: Session) -> Iterator[Person]:
    with OpenIdIssuer() as issuer:
        fresh.new_key()  # some tests make none, and what is searched for is never nothing
        yield Person(fresh, issuer)
        fresh.keys += issuer.good  # the refresh tokens


def test_a_person_logs_in_is_somebody_and_logs_out(person: Person) -> None:
    shell = person.types("brokerctl login")
    assert shell.end() == 0, shell.seen
    assert f"logged in to work as ada@example.org ({person.issuer.url})" in shell.seen
    address, page = person.page.read_text().split("\n", 1)
    assert "code=" not in address
    assert "You are signed in" in page
    session = person.session
    (row,) = json.loads(session.run("brokerctl whoami --json").stdout)
    assert (row["name"], row["state"], row["subject"]) == ("work", "ready", "ada@example.org")
    assert row["issuer"] == person.issuer.url
    assert "ada@example.org" in session.run("brokerctl status").stdout
    (refresh_token,) = person.issuer.good
    session.keys.append(refresh_token)
    assert session.run("brokerctl logout").status == 0
    assert person.issuer.revoked == [refresh_token]
    done = session.run("brokerctl whoami")
    assert "login needed" in done.stdout
    assert "`brokerctl login work`" in done.stderr
    events = [each["event"] for each in session.events() if "identity" in each]
    assert events == ["identity.login_begun", "identity.logged_in", "identity.logged_out"]


def test_an_app_is_started_and_its_person_logs_in_on_the_way(person: Person) -> None:
    person.session.script("app.py", "from ask import ask\nprint('it says', ask())\n")
    shell = person.types("brokerctl run python app.py")
    shell.expect("Log in to work now? [Y/n] ")
    shell.type("\n")
    assert shell.end() == 0, shell.seen
    assert shell.seen.index("logged in to work") < shell.seen.index("it says")
    assert re.search(r"it says Hello from openai, your key no\. \d+ is good\.", shell.seen)
    (leased,) = person.session.events(event="lease.acquired")
    assert (leased["secret"], leased["bounded_by"]) == ("openai/team", "provider")
    again = person.session.run("brokerctl run python app.py")  # nobody is asked again
    assert (again.status, again.stderr) == (0, "")


def test_a_daemon_that_starts_anew_needs_no_new_login(person: Person) -> None:
    session = person.session
    with tempfile.TemporaryDirectory() as folder, keyring_session(Path(folder)) as variables:
        bus = "DBUS_SESSION_BUS_ADDRESS"
        session.environment[bus] = variables[bus]
        session.run("brokerctl daemon stop")
        person.configure("keyring")
        shell = person.types("brokerctl login")
        assert shell.end() == 0, shell.seen
        first = set(person.issuer.good)
        assert session.run("brokerctl daemon stop").status == 0
        done = session.app("ask(); print('it runs')")
        assert (done.status, done.stdout) == (0, "it runs\n"), done
        assert first.isdisjoint(person.issuer.good)  # it was refreshed, and rotated
        session.keys += first
        assert session.run("brokerctl daemon stop").status == 0


def test_without_a_terminal_the_app_does_not_start_and_is_told_what_to_type(
    person: Person,
) -> None:
    done = person.session.app("print('it runs')")
    assert (done.status, done.stdout) == (3, "")
    assert "`brokerctl login work`" in done.stderr
    done = person.session.run("brokerctl login work")
    assert (done.status, done.stdout) == (3, "")
    assert "`brokerctl login work`" in done.stderr
    assert not person.issuer.asked


def test_over_ssh_a_code_is_typed_elsewhere(person: Person) -> None:
    person.issuer.interval = 1
    shell = person.types("brokerctl login work", SSH_CONNECTION="192.0.2.1 1 192.0.2.2 22")
    shell.expect("WDJB-MJHT")
    assert f"{person.issuer.url}/go" in shell.seen
    person.issuer.ready = True
    assert shell.end() == 0, shell.seen
    assert "logged in to work as ada@example.org" in shell.seen
    assert not person.page.exists()


def test_ctrl_c_gives_up_and_the_next_login_may_begin(person: Person) -> None:
    person.browser(_LAZY_BROWSER)
    shell = person.types("brokerctl login work")
    assert eventually(person.page.exists)
    browser = psutil.Process(int(person.page.read_text()))
    shell.type("\x03")
    assert shell.end() == 130
    browser.kill()
    (failed,) = person.session.events(event="identity.login_failed")
    assert failed["kind"] == "denied.login_refused"
    person.page.unlink()
    person.browser(_BROWSER)
    assert person.types("brokerctl login work").end() == 0


def test_a_second_login_at_the_same_time_is_refused(person: Person) -> None:
    person.browser(_LAZY_BROWSER)
    first = person.types("brokerctl login work")
    assert eventually(person.page.exists)
    second = person.types("brokerctl login work")
    assert second.end() == 3
    assert "logging in to work already" in second.seen
    psutil.Process(int(person.page.read_text())).kill()
    first.process.kill()  # its terminal is closed: the daemon notices by itself
    first.end()
    person.browser(_BROWSER)
    assert eventually(lambda: bool(person.session.events(event="identity.login_failed")))
    assert person.types("brokerctl login work").end() == 0


def test_the_browser_is_in_no_session(person: Person) -> None:
    """What is below the root of a session leases its keys: a browser must not be."""
    person.browser(_LAZY_BROWSER)
    person.session.script("app.py", "print('it runs')\n")
    shell = person.types("brokerctl run python app.py")
    shell.expect("[Y/n] ")
    shell.type("\n")
    assert eventually(person.page.exists)
    browser = psutil.Process(int(person.page.read_text()))
    assert eventually(lambda: shell.process.pid not in [each.pid for each in browser.parents()])
    browser.kill()
    shell.type("\x03")
    assert shell.end() == 130
    assert "it runs" not in shell.seen
