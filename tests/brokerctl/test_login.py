"""`brokerctl login`, `logout` and `whoami`, and the login that `brokerctl run` asks for."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import psutil
import pytest

from brokerctl.login import success
from brokershim.errors import (
    IdentityUnavailable,
    LoginRefused,
    LoginUnderWay,
    ServerDown,
    UsageError,
)
from tests.brokerctl.conftest import CommandLine
from tests.brokerctl.fake_daemon import FakeDaemon
from tests.brokerctl.test_completion import bash
from tests.brokerctl.test_status import ALL
from tests.support.daemon import wait_until

URL = "https://id.example/authorize?state=abc"
BEGUN = {"login": "l1", "url": URL, "user_code": None, "seconds": 300}
BY_CODE = {**BEGUN, "url": "https://id.example/device", "user_code": "WDJB-MJHT"}
STANDING: dict[str, Any] = {
    "state": "ready",
    "issuer": "https://id.example",
    "subject": "alice",
    "until": 7200.5,
    "reason": "",
}
DONE = {"done": True, **STANDING}
WORK = {"name": "work", "kind": "oidc", "personal": True, **STANDING}
RUNNER = {
    **WORK,
    "name": "runner",
    "kind": "ci",
    "personal": False,
    "state": "absent",
    "subject": "",
    "issuer": "",
    "until": None,
    "reason": "no CI job runs here",
}
BROWSER = """#!/bin/sh
test -t 0 && said="it has a terminal"
{{ test -t 1 || test -t 2 || sh -c ': </dev/tty'; }} 2>/dev/null && said="it has a terminal"
printf '%s\\n' "$1" "$said" "$PWD" "${{TERM-no TERM}}" "$PATH" >'{path}.new'
mv '{path}.new' '{path}'
"""


def rows(*identities: dict[str, Any]) -> dict[str, Any]:
    return {"identities": list(identities), "next": None}


def by_mode(params: dict[str, Any]) -> dict[str, Any]:
    """Begin a login in either way."""
    return BY_CODE if params["mode"] == "device" else BEGUN


@pytest.fixture
def fake(cli: CommandLine) -> FakeDaemon:
    return cli.daemon(
        {
            "identity.list": rows(RUNNER, WORK),
            "login.begin": by_mode,
            "login.wait": DONE,
            "login.cancel": {},
        }
    )


@pytest.fixture
def opened(cli: CommandLine) -> Path:
    """Let the person have a browser; it writes down what it is given."""
    path = cli.home / "opened"
    program = cli.home / "a-browser"
    program.write_text(BROWSER.format(path=path))
    program.chmod(0o755)
    cli.env["BROWSER"] = str(program)
    return path


def said(path: Path) -> list[str]:
    wait_until(path.exists, 20)
    return path.read_text().splitlines()


def test_login_in_the_browser(cli: CommandLine, fake: FakeDaemon, opened: Path) -> None:
    shell = cli.terminal("login", "work")
    assert shell.end() == 0
    assert f"  {URL}\r\n" in shell.seen
    assert "waiting for the browser" in shell.seen
    assert "If the page shows an error, press Ctrl-C, and look at client_id" in shell.seen
    assert "logged in to work as alice (https://id.example); next login in 2h" in shell.seen
    assert fake.params("login.begin") == [{"identity": "work", "mode": "browser"}]
    assert said(opened)[0] == URL


def test_the_browser_is_apart_from_the_command(
    cli: CommandLine, fake: FakeDaemon, opened: Path
) -> None:
    """It has no terminal, and looks for nothing in the working folder."""
    del fake
    shell = cli.terminal("login", env={"TERM": "xterm", "PATH": f".::{cli.env['PATH']}"})
    assert shell.end() == 0
    _, terminal, cwd, term, path = said(opened)
    assert (terminal, cwd, term) == ("", "/", "no TERM")
    assert all(os.path.isabs(each) for each in path.split(":"))


def test_the_browser_is_below_nobody(cli: CommandLine, fake: FakeDaemon, opened: Path) -> None:
    """What is below the root of a session could lease what the session may."""
    fake.answers["login.wait"] = {"done": False}
    Path(cli.env["BROWSER"]).write_text(
        f"#!/bin/sh\necho $$ >'{opened}.new'; mv '{opened}.new' '{opened}'; exec sleep 60\n"
    )
    shell = cli.terminal("login", "work")
    shell.expect("waiting for the browser")
    found = psutil.Process(int(said(opened)[0]))
    try:
        wait_until(lambda: shell.process.pid not in [each.pid for each in found.parents()])
    finally:
        found.kill()
        shell.type("\x03")
        shell.end()


@pytest.mark.parametrize("name", ["./evil", "evil"])
def test_no_browser_comes_from_the_working_folder(
    cli: CommandLine, fake: FakeDaemon, name: str
) -> None:
    del fake
    evil = cli.folder / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {cli.home}/taken\n")
    evil.chmod(0o755)
    marker = cli.home / "other"
    other = cli.home / "other-browser"
    other.write_text(f"#!/bin/sh\ntouch {marker}\n")
    other.chmod(0o755)
    environ = {"BROWSER": f"{name}:{other}", "PATH": f":.:{cli.env['PATH']}"}
    assert cli.terminal("login", "work", env=environ).end() == 0
    wait_until(marker.exists, 20)  # the second one was tried, so the first was not there
    assert not (cli.home / "taken").exists()


def test_the_only_personal_identity_needs_no_name(
    cli: CommandLine, fake: FakeDaemon, opened: Path
) -> None:
    assert cli.terminal("login").end() == 0
    assert fake.params("login.begin")[0]["identity"] == "work"
    said(opened)


@pytest.mark.parametrize("command", ["login", "logout"])
def test_several_or_none_need_a_name(cli: CommandLine, fake: FakeDaemon, command: str) -> None:
    fake.answers["identity.list"] = rows(WORK, {**WORK, "name": "home"}, RUNNER)
    shell = cli.terminal(command)
    assert shell.end() == 2
    assert "name one: work, home" in shell.seen
    fake.answers["identity.list"] = rows(RUNNER)
    shell = cli.terminal(command)
    assert shell.end() == 2
    assert "no identity is configured that a person logs in to" in shell.seen
    assert "[identity.NAME]" in shell.seen
    assert {name for name, _ in fake.calls} == {"daemon.status", "identity.list"}


@pytest.mark.parametrize("command", ["login", "logout"])
def test_settings_that_the_daemon_has_not_read_are_told_of(
    cli: CommandLine, fake: FakeDaemon, command: str
) -> None:
    fake.answers["identity.list"] = rows()
    fake.answers["daemon.status"] = {"config_changed": True}
    shell = cli.terminal(command)
    assert shell.end() == 2
    assert "config.toml has changed since the daemon started" in shell.seen


def test_no_browser_only_prints(cli: CommandLine, fake: FakeDaemon, opened: Path) -> None:
    shell = cli.terminal("login", "work", "--no-browser")
    assert shell.end() == 0
    assert URL in shell.seen
    assert "on this machine" in shell.seen
    assert fake.params("login.begin")[0]["mode"] == "browser"
    assert not opened.exists()


@pytest.mark.parametrize(
    ("args", "environ"),
    [
        (["--device"], {}),
        ([], {"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}),
        ([], {"BROWSER": ""}),
    ],
)
def test_a_code_for_another_device(
    cli: CommandLine, fake: FakeDaemon, opened: Path, args: list[str], environ: dict[str, str]
) -> None:
    shell = cli.terminal("login", "work", *args, env=environ)
    assert shell.end() == 0
    assert "on any device" in shell.seen
    assert "client_id" not in shell.seen  # a wrong one has been refused by now
    assert "https://id.example/device" in shell.seen
    assert "WDJB-MJHT" in shell.seen
    assert fake.params("login.begin") == [{"identity": "work", "mode": "device"}]
    assert not opened.exists()


def test_a_code_that_the_browser_shows_is_opened_and_compared(
    cli: CommandLine, fake: FakeDaemon, opened: Path
) -> None:
    fake.answers["login.begin"] = BY_CODE
    shell = cli.terminal("login", "work")
    assert shell.end() == 0
    assert "Your browser opens" in shell.seen
    assert "see that the page shows this code:\r\n  WDJB-MJHT" in shell.seen
    assert said(opened)[0] == BY_CODE["url"]
    assert fake.params("login.begin") == [{"identity": "work", "mode": "browser"}]


def test_what_a_login_asks_for_is_typed_unseen(
    cli: CommandLine, fake: FakeDaemon, opened: Path
) -> None:
    answers: list[Any] = [UsageError("that is no code of six digits"), {}]

    def answer(_: dict[str, Any]) -> dict[str, Any]:
        found = answers.pop(0)
        if isinstance(found, UsageError):
            raise found
        return dict(found)

    fake.answers |= {
        "login.begin": {**BEGUN, "url": "", "asks": "MFA code"},
        "login.answer": answer,
    }
    shell = cli.terminal("login", "work")
    shell.expect("MFA code: ")
    shell.type("12345\n")
    shell.expect("that is no code of six digits\r\nMFA code: ")
    shell.type("123456\n")
    assert shell.end() == 0
    assert "logged in to work as alice" in shell.seen
    assert "12345" not in shell.seen
    typed = [each["value"] for each in fake.params("login.answer")]
    assert typed == ["12345", "123456"]
    assert not opened.exists()


def test_nothing_typed_gives_the_login_up(cli: CommandLine, fake: FakeDaemon) -> None:
    fake.answers["login.begin"] = {**BEGUN, "url": "", "asks": "MFA code"}
    shell = cli.terminal("login", "work")
    shell.expect("MFA code: ")
    shell.type("\x04")
    assert shell.end() == 2
    assert fake.params("login.answer") == []


def no_device(params: dict[str, Any]) -> dict[str, Any]:
    if params["mode"] == "device":
        raise IdentityUnavailable("its provider offers no device code")
    return BEGUN


def test_where_there_is_no_code_a_person_over_ssh_is_told_so(
    cli: CommandLine, fake: FakeDaemon, opened: Path
) -> None:
    fake.answers["login.begin"] = no_device
    shell = cli.terminal("login", "work", env={"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"})
    assert shell.end() == 0
    assert "its provider offers no device code" in shell.seen
    assert URL in shell.seen
    assert not opened.exists()


def test_where_a_code_was_asked_for_nothing_else_is_tried(
    cli: CommandLine, fake: FakeDaemon
) -> None:
    fake.answers["login.begin"] = no_device
    shell = cli.terminal("login", "work", "--device")
    assert shell.end() == 6
    assert len(fake.params("login.begin")) == 1


def test_ctrl_c_gives_up(cli: CommandLine, fake: FakeDaemon, opened: Path) -> None:
    fake.answers["login.wait"] = {"done": False}
    shell = cli.terminal("login", "work")
    shell.expect("waiting for the browser")
    said(opened)
    shell.type("\x03")
    assert shell.end() == 130
    assert fake.params("login.cancel") == [{"login": "l1"}]
    assert "Traceback" not in shell.seen


def test_it_waits_as_long_as_the_daemon_says(
    cli: CommandLine, fake: FakeDaemon, opened: Path
) -> None:
    replies = [{"done": False}, {"done": False}, DONE]
    fake.answers["login.wait"] = lambda _: replies.pop(0)
    assert cli.terminal("login", "work").end() == 0
    waits = fake.params("login.wait")
    assert [each["login"] for each in waits] == ["l1"] * 3
    assert all(each["seconds"] <= 20 for each in waits)
    said(opened)


@pytest.mark.parametrize(
    ("method", "error", "status"),
    [
        ("login.begin", LoginUnderWay("somebody is logging in to work already"), 3),
        ("login.begin", ServerDown("id.example cannot be reached"), 6),
        ("login.wait", LoginRefused("the person said no"), 3),
    ],
)
def test_why_it_failed(
    cli: CommandLine, fake: FakeDaemon, method: str, error: Any, status: int
) -> None:
    fake.answers[method] = error
    shell = cli.terminal("login", "work", "--no-browser")
    assert shell.end() == status
    assert f"brokerctl: error: {error.message}" in shell.seen
    assert "logged in" not in shell.seen


def test_without_a_terminal_it_fails_at_once_and_names_the_command(
    cli: CommandLine, fake: FakeDaemon
) -> None:
    for args in (["work"], []):
        done = cli.run("login", *args)
        assert (done.returncode, done.stdout) == (3, "")
        assert "work needs a person to log in" in done.stderr
        assert "`brokerctl login work` in a terminal" in done.stderr
    assert fake.params("login.begin") == []


def test_where_no_identity_is_configured_it_says_what_to_write(
    cli: CommandLine, fake: FakeDaemon
) -> None:
    fake.answers["identity.list"] = rows()
    done = cli.run("login")  # without a terminal, too
    assert (done.returncode, done.stdout) == (2, "")
    assert "no identity is configured at all" in done.stderr
    assert '[identity.NAME] with kind = "oidc", issuer and client_id' in done.stderr
    shell = cli.terminal("login")
    assert shell.end() == 2
    assert "no identity is configured at all" in shell.seen


@pytest.mark.parametrize(
    "address",
    [
        "http://id.example/authorize",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https:///nowhere",
        "https://good.example@evil.example/",
        "https://[bad/",
        "-version",
        "https://id.example/ --new-window file:///etc/passwd",
        "https://id.example/\x1b]0;title\x07",
        "https://id.ex\u0430mple/",
    ],
)
def test_an_address_that_is_no_web_page_is_neither_opened_nor_shown(
    cli: CommandLine, fake: FakeDaemon, opened: Path, address: str
) -> None:
    fake.answers["login.begin"] = {**BEGUN, "url": address}
    shell = cli.terminal("login", "work", env={"NO_COLOR": "1"})
    assert shell.end() == 3
    assert "no https address" in shell.seen
    assert address not in shell.seen
    assert "\x1b" not in shell.seen
    assert "login.wait" not in [name for name, _ in fake.calls]
    assert not opened.exists()


@pytest.mark.parametrize("host", ["127.0.0.1:81", "localhost", "[::1]:81"])
def test_a_provider_on_this_machine_may_do_without_https(
    cli: CommandLine, fake: FakeDaemon, opened: Path, host: str
) -> None:
    fake.answers["login.begin"] = {**BEGUN, "url": f"http://{host}/a"}
    assert cli.terminal("login", "work").end() == 0
    assert said(opened)[0] == f"http://{host}/a"


def test_what_a_provider_says_cannot_drive_the_terminal(cli: CommandLine, fake: FakeDaemon) -> None:
    fake.answers["login.begin"] = {**BY_CODE, "user_code": "A\x1b[2J\rB"}
    fake.answers["login.wait"] = {**DONE, "subject": "al\x1b[2Jice\n", "issuer": "\u202ex"}
    shell = cli.terminal("login", "work", "--device")
    assert shell.end() == 0
    assert "\x1b" not in shell.seen
    assert "\u202e" not in shell.seen
    assert "A\\x1b[2J\\rB" in shell.seen


def test_logout(cli: CommandLine, fake: FakeDaemon) -> None:
    fake.answers["identity.logout"] = {"was_logged_in": True}
    done = cli.run("logout")
    assert (done.returncode, done.stdout) == (0, "logged out of work\n")
    assert fake.params("identity.logout") == [{"identity": "work"}]
    fake.answers["identity.logout"] = {"was_logged_in": False}
    done = cli.run("logout")
    assert (done.returncode, done.stdout) == (0, "nobody was logged in to work\n")
    fake.answers["identity.logout"] = ServerDown("id.example cannot be told")
    assert cli.run("logout", "work").returncode == 6


def test_whoami(cli: CommandLine, fake: FakeDaemon) -> None:
    fake.answers["identity.list"] = rows(RUNNER, {**WORK, "state": "due"})
    done = cli.run("whoami")
    assert done.stdout.splitlines() == [
        "IDENTITY  KIND  STATE      WHO    FROM                NEXT LOGIN IN",
        "runner    ci    not here   -      -                   -",
        "work      oidc  login due  alice  https://id.example  2h",
    ]
    assert "brokerctl: runner: no CI job runs here\n" in done.stderr
    assert "brokerctl: work: log in with `brokerctl login work`\n" in done.stderr
    assert "runner" not in cli.run("whoami", "work").stdout


def test_whoami_of_nobody(cli: CommandLine, fake: FakeDaemon) -> None:
    done = cli.run("whoami", "sk-a-key-in-the-wrong-place")
    assert done.returncode == 4
    assert "sk-" not in done.stderr
    fake.answers["identity.list"] = rows()
    done = cli.run("whoami")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no identities are configured" in done.stderr


def test_whoami_as_json_has_the_keys_that_its_help_names(
    cli: CommandLine, fake: FakeDaemon
) -> None:
    fake.answers["identity.list"] = rows({**WORK, "added_later": 1})
    (row,) = json.loads(cli.run("whoami", "--json").stdout)
    assert row == {key: value for key, value in WORK.items() if key != "personal"}
    assert set(row) <= set(re.findall(r"[a-z]+", cli.run("whoami", "--help").stdout))


def test_status_shows_the_identities(cli: CommandLine) -> None:
    cli.daemon({**ALL, "identity.list": rows({**WORK, "state": "login", "until": None})})
    done = cli.run("status")
    assert "work      oidc  login needed  alice  https://id.example  -\n" in done.stdout
    assert "log in with `brokerctl login work`" in done.stderr
    (row,) = json.loads(cli.run("status", "--json").stdout)["identities"]
    assert (row["name"], row["state"]) == ("work", "login")


def test_names_are_completed(cli: CommandLine, fake: FakeDaemon) -> None:
    del fake
    cli.env["PATH"] = f"{os.path.dirname(cli.command[0])}:{cli.env['PATH']}"
    for command in ("login", "logout", "whoami"):
        assert bash(cli, f"brokerctl {command} w") == ["work"]


OPENED = {"session": "s1", "env": {"A": "b"}, "pending": [], "logins": ["work"]}
RUN = ("run", "--env", "A=b", "sh", "-c", "echo runs")


@pytest.mark.parametrize("typed", ["\n", "y\n"])
def test_run_asks_for_the_login_that_it_needs(
    cli: CommandLine, fake: FakeDaemon, opened: Path, typed: str
) -> None:
    fake.answers["session.open"] = OPENED
    shell = cli.terminal(*RUN)
    shell.expect("Log in to work now? [Y/n] ")
    assert fake.params("login.begin") == []
    shell.type(typed)
    assert shell.end() == 0
    assert shell.seen.index("logged in to work as alice") < shell.seen.index("runs")
    assert said(opened)[0] == URL


def test_run_without_the_login_runs_nothing(cli: CommandLine, fake: FakeDaemon) -> None:
    fake.answers["session.open"] = OPENED
    shell = cli.terminal(*RUN)
    shell.expect("[Y/n] ")
    shell.type("n\n")
    assert shell.end() == 3
    assert "type `brokerctl login work` in a terminal" in shell.seen
    done = cli.run(*RUN)
    assert (done.returncode, done.stdout) == (3, "")
    assert "type `brokerctl login work` in a terminal" in done.stderr
    fake.answers["login.wait"] = LoginRefused("the person said no")
    shell = cli.terminal(*RUN)
    shell.expect("[Y/n] ")
    shell.type("\n")
    assert shell.end() == 3
    assert "runs" not in shell.seen.replace("runs nothing", "")


def test_the_end_of_the_input_is_no_yes(cli: CommandLine, fake: FakeDaemon) -> None:
    fake.answers["session.open"] = OPENED
    shell = cli.terminal(*RUN)
    shell.expect("[Y/n] ")
    shell.type("\x04")
    assert shell.end() == 3
    assert fake.params("login.begin") == []


def test_what_bounds_a_login_is_said_as_it_begins() -> None:
    bound = {**STANDING, "until": None, "reason": "kept in memory only"}
    assert success("work", bound).endswith("(https://id.example); kept in memory only")
