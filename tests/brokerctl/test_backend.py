"""`brokerctl backend`: what is asked of the daemon, and what is shown."""

from __future__ import annotations

import json
import threading

import pytest

from brokershim.errors import BackendNotFound, BackendTimeout, KeyringUnavailable
from tests.brokerctl.conftest import CommandLine

CORP = {
    "name": "corp",
    "kind": "vault",
    "login": "cert",
    "state": "closed",
    "failures": 0,
    "retry_in": None,
    "reason": "",
    "enrolment": {"wants": "private key (PEM)", "done": False, "reason": ""},
    "account": None,
}
PEOPLE = {
    **CORP,
    "name": "people",
    "login": "oidc",
    "enrolment": None,
    "account": {"state": "login", "issuer": "https://v", "subject": "", "until": None,
                "reason": "nobody is logged in"},
}  # fmt: skip
LLM = {**CORP, "name": "llm", "kind": "federation", "login": "", "enrolment": None}
LISTED = {"backends": [CORP, LLM, PEOPLE], "next": None}
FINE = {
    "subject": "openai/dev", "path": "secret/data/llm", "has": ["read"], "lacks": [], "beyond": [],
    "hint": "", "verdict": "ok",
}  # fmt: skip
BEYOND = {
    **FINE, "subject": "groq/dev", "has": ["list", "read"], "beyond": ["list"],
    "hint": "take list away", "verdict": "beyond",
}  # fmt: skip
LACKS = {
    **FINE, "subject": "", "path": "auth/token/lookup-self", "has": [], "lacks": ["read"],
    "hint": "let it read that", "verdict": "lacks",
}  # fmt: skip


def test_list_says_how_each_fares_and_what_to_do(cli: CommandLine) -> None:
    cli.daemon({"backend.list": LISTED})
    done = cli.run("backend", "list")
    assert done.stdout.splitlines() == [
        "BACKEND  KIND        LOGIN  STATE",
        "corp     vault       cert   waits for its private key (PEM)",
        "llm      federation  -      not known to be away",
        "people   vault       oidc   waits for a login",
    ]
    assert done.stderr.splitlines() == [
        "brokerctl: corp: give it its private key (PEM) with `brokerctl backend enrol corp`",
        "brokerctl: people: nobody is logged in",
        "brokerctl: people: log in with `brokerctl login people`",
    ]


def test_list_says_nothing_of_what_is_done(cli: CommandLine) -> None:
    given = {**CORP, "enrolment": {**CORP["enrolment"], "done": True}}  # type: ignore[dict-item]
    person = {**PEOPLE, "account": {**PEOPLE["account"], "state": "ready", "reason": ""}}  # type: ignore[dict-item]
    cli.daemon({"backend.list": {"backends": [given, person], "next": None}})
    done = cli.run("backend", "list")
    assert done.stderr == ""
    assert [line.count("not known to be away") for line in done.stdout.splitlines()] == [0, 1, 1]


@pytest.mark.parametrize("state", ["absent", "failed"])
def test_list_says_that_one_cannot_log_in(cli: CommandLine, state: str) -> None:
    person = {**PEOPLE, "account": {**PEOPLE["account"], "state": state, "reason": "no keyring"}}  # type: ignore[dict-item]
    cli.daemon({"backend.list": {"backends": [person], "next": None}})
    done = cli.run("backend", "list")
    assert done.stdout.splitlines()[1].endswith("cannot log in")
    assert done.stderr == "brokerctl: people: no keyring\n"


def test_list_as_json(cli: CommandLine) -> None:
    cli.daemon({"backend.list": {**LISTED, "backends": [{**CORP, "newer": 1}, PEOPLE]}})
    assert json.loads(cli.run("backend", "list", "--json").stdout) == [CORP, PEOPLE]


def test_check_shows_what_lacks_and_ends_with_3(cli: CommandLine) -> None:
    fake = cli.daemon({"backend.check": {"findings": [FINE, BEYOND, LACKS], "next": None}})
    done = cli.run("backend", "check", "corp")
    assert done.returncode == 3
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["SECRET", "PATH", "HAS", "LACKS", "TOO", "MUCH"],
        ["openai/dev", "secret/data/llm", "read", "-", "-"],
        ["groq/dev", "secret/data/llm", "read", "-", "list"],
        ["-", "auth/token/lookup-self", "-", "read", "-"],
    ]
    assert done.stderr.splitlines() == [
        "brokerctl: warning: groq/dev: take list away",
        "brokerctl: corp: let it read that",
    ]
    assert fake.params("backend.check") == [{"backend": "corp"}]


def test_check_says_once_what_two_paths_need(cli: CommandLine) -> None:
    twice = [LACKS, {**LACKS, "path": "secret/metadata/llm"}]
    cli.daemon({"backend.check": {"findings": twice, "next": None}})
    done = cli.run("backend", "check", "corp")
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr == "brokerctl: corp: let it read that\n"


def test_check_with_warnings_only_is_well(cli: CommandLine) -> None:
    cli.daemon({"backend.check": {"findings": [FINE, BEYOND], "next": None}})
    assert cli.run("backend", "check", "corp").returncode == 0


def test_check_as_json(cli: CommandLine) -> None:
    cli.daemon({"backend.check": {"findings": [FINE, LACKS], "next": None}})
    done = cli.run("backend", "check", "corp", "--json")
    assert (json.loads(done.stdout), done.stderr) == ([FINE, LACKS], "")
    assert done.returncode == 3


def test_check_of_a_backend_without_secrets(cli: CommandLine) -> None:
    cli.daemon({"backend.check": {"findings": [], "next": None}})
    done = cli.run("backend", "check", "corp")
    assert done.returncode == 0
    assert done.stderr == "brokerctl: no secret of config.toml is of corp\n"


def test_check_follows_the_pages(cli: CommandLine) -> None:
    fake = cli.daemon({
        "backend.check": lambda asked: {
            "findings": [BEYOND if "after" in asked else FINE],
            "next": None if "after" in asked else "1",
        }
    })  # fmt: skip
    found = json.loads(cli.run("backend", "check", "corp", "--json").stdout)
    assert found == [FINE, BEYOND]
    assert fake.params("backend.check") == [{"backend": "corp"}, {"backend": "corp", "after": "1"}]


def test_who_looks_on_sees_that_it_takes_a_while(cli: CommandLine) -> None:
    cli.daemon({"backend.check": {"findings": [FINE], "next": None}})
    asking = cli.terminal("backend", "check", "corp")
    asking.expect("asking corp what it allows… (Ctrl-C gives up)")
    assert asking.end() == 0


def test_ctrl_c_gives_a_check_up(cli: CommandLine) -> None:
    over = threading.Event()

    def wait(_: object) -> dict[str, object]:
        over.wait(20)
        raise BackendTimeout("too late")

    cli.daemon({"backend.check": wait})
    asking = cli.terminal("backend", "check", "corp")
    asking.expect("Ctrl-C gives up")
    asking.type("\x03")
    assert asking.end() == 130
    over.set()


def test_a_backend_that_is_not_there_ends_with_4(cli: CommandLine) -> None:
    cli.daemon({"backend.check": BackendNotFound("no backend of that name is configured")})
    assert cli.run("backend", "check", "nope").returncode == 4


def test_enrol_sends_what_stdin_holds(cli: CommandLine) -> None:
    fake = cli.daemon({"backend.list": LISTED, "backend.enrol": {}})
    done = cli.run("backend", "enrol", "corp", stdin="line 1\nline 2\n")
    assert done.stdout == (
        "corp keeps it in the keyring; `brokerctl backend check corp` tries it\n"
    )
    assert fake.params("backend.enrol") == [{"backend": "corp", "value": "line 1\nline 2"}]
    assert "line" not in done.stdout + done.stderr


def test_enrol_asks_unseen(cli: CommandLine) -> None:
    fake = cli.daemon({"backend.list": LISTED, "backend.enrol": {}})
    asking = cli.terminal("backend", "enrol", "corp")
    asking.expect("private key (PEM) for corp: ")
    asking.type("of the test\n")
    assert asking.end() == 0
    assert "of the test" not in asking.seen
    assert fake.params("backend.enrol") == [{"backend": "corp", "value": "of the test"}]


def test_enrol_takes_no_value_from_the_command_line(cli: CommandLine) -> None:
    fake = cli.daemon({"backend.list": LISTED})
    done = cli.run("backend", "enrol", "corp", "the-private-part")
    assert done.returncode == 2
    assert "the-private-part" not in done.stdout + done.stderr
    assert "brokerctl backend enrol corp" in done.stderr
    assert fake.params("backend.enrol") == []


def test_enrol_asks_nobody_for_what_is_not_wanted(cli: CommandLine) -> None:
    fake = cli.daemon({"backend.list": LISTED})
    for name, status in (("llm", 2), ("nope", 4)):
        done = cli.run("backend", "enrol", name, stdin="x")
        assert done.returncode == status, done.stderr
    assert fake.params("backend.enrol") == []


def test_enrol_says_why_it_is_not_kept(cli: CommandLine) -> None:
    cli.daemon({"backend.list": LISTED, "backend.enrol": KeyringUnavailable("it refuses")})
    done = cli.run("backend", "enrol", "corp", stdin="x")
    assert done.returncode == 6
    assert "it refuses" in done.stderr
