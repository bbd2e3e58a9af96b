"""`brokerctl credentials`: what is asked of the daemon, and who may read what comes."""

from __future__ import annotations

import importlib
import json
import resource
import socket
import subprocess
import threading
from typing import Any

import pytest

from brokershim.errors import UsageError
from tests.brokerctl.conftest import CommandLine
from tests.brokerctl.pseudo_terminal import PseudoTerminal

NAME = "bedrock/dev"
VALUE = (
    '{"Version":1,"AccessKeyId":"ASIA0123","SecretAccessKey":"the/secret+key",'
    '"SessionToken":"the//token==","Expiration":"2026-11-23T15:00:00Z"}'
)
OPENED: dict[str, Any] = {"session": "s-1", "env": {}, "pending": [], "logins": []}
ANSWERS: dict[str, Any] = {"session.open": OPENED, "lease.acquire": {"value": VALUE}}


def test_they_are_printed_for_the_one_who_runs_it(cli: CommandLine) -> None:
    fake = cli.daemon(ANSWERS)
    done = cli.run("credentials", NAME)
    assert (done.returncode, done.stdout, done.stderr) == (0, VALUE + "\n", "")
    (opened,) = fake.params("session.open")
    assert opened["env"] == {"AWS_ACCESS_KEY_ID": NAME}
    assert opened.keys() == {"program", "script", "env"}, "whatever project it is run in"
    assert opened["script"].endswith("brokerctl/__main__.py")
    assert fake.params("lease.acquire") == [{"secret": NAME}]


def test_botocore_reads_them(cli: CommandLine) -> None:
    """As a ``credential_process``, which botocore runs itself."""
    provider: Any = importlib.import_module("botocore.credentials").ProcessProvider
    cli.daemon(ANSWERS)
    words = " ".join([*cli.command, "credentials", NAME])
    profiles = {"profiles": {"x": {"credential_process": words}}}

    def started(args: list[str], **more: Any) -> Any:
        return subprocess.Popen(args, env=cli.env, cwd=cli.folder, **more)

    found = provider("x", lambda: profiles, popen=started)._retrieve_credentials_using(words)
    assert (found["access_key"], found["secret_key"]) == ("ASIA0123", "the/secret+key")
    assert (found["token"], found["expiry_time"]) == ("the//token==", "2026-11-23T15:00:00Z")


def test_a_terminal_does_not_get_them(cli: CommandLine) -> None:
    fake = cli.daemon(ANSWERS)
    asking = cli.terminal("credentials", NAME)
    assert asking.end() == UsageError.exit_status
    assert "credentials are written to a pipe only" in asking.seen
    assert fake.calls == []


def test_a_file_does_not_get_them(cli: CommandLine) -> None:
    fake = cli.daemon(ANSWERS)
    kept = cli.folder / "kept"
    with kept.open("wb") as file:
        done = subprocess.run(
            [*cli.command, "credentials", NAME],
            env=cli.env, cwd=cli.folder, stdout=file, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert done.returncode == UsageError.exit_status
    assert b"credential_process" in done.stderr
    assert (kept.read_bytes(), fake.calls) == (b"", [])


def test_a_socket_is_as_good_as_a_pipe(cli: CommandLine) -> None:
    cli.daemon(ANSWERS)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        subprocess.run(
            [*cli.command, "credentials", NAME],
            env=cli.env, cwd=cli.folder, stdout=theirs.fileno(), check=True,
        )  # fmt: skip
        assert json.loads(ours.recv(4096))["Version"] == 1


def test_a_socket_of_the_network_does_not_get_them(cli: CommandLine) -> None:
    fake = cli.daemon(ANSWERS)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as theirs,
    ):
        done = subprocess.run(
            [*cli.command, "credentials", NAME],
            env=cli.env, cwd=cli.folder, stdout=theirs.fileno(), check=False,
        )  # fmt: skip
    assert (done.returncode, fake.calls) == (UsageError.exit_status, [])


def test_nothing_at_all_does_not_get_them(cli: CommandLine) -> None:
    fake = cli.daemon(ANSWERS)
    closing = ["sh", "-c", 'exec "$@" >&-', "sh", *cli.command, "credentials", NAME]
    done = subprocess.run(closing, env=cli.env, cwd=cli.folder, check=False)
    assert (done.returncode, fake.calls) == (UsageError.exit_status, [])


def test_no_core_dump_holds_them(cli: CommandLine) -> None:
    limits_of = getattr(resource, "prlimit", None)
    if limits_of is None:
        pytest.skip("only Linux tells of another process's limits")
    started: list[subprocess.Popen[str]] = []
    told, limits = threading.Event(), []

    def acquire(_: dict[str, Any]) -> dict[str, Any]:
        assert told.wait(30)
        limits.append(limits_of(started[0].pid, resource.RLIMIT_CORE)[0])
        return {"value": VALUE}

    cli.daemon({**ANSWERS, "lease.acquire": acquire})
    most = 'ulimit -S -c "$(ulimit -H -c)"; exec "$@"'
    words = ["sh", "-c", most, "sh", *cli.command, "credentials", NAME]
    with subprocess.Popen(
        words, env=cli.env, cwd=cli.folder, stdout=subprocess.PIPE, text=True
    ) as process:
        started.append(process)
        told.set()
        assert process.communicate(timeout=30)[0] == VALUE + "\n"
    assert limits == [0]


@pytest.mark.parametrize("value", ["sk-of-another-kind", '{"Version":1}'])
def test_another_kind_of_key_is_not_printed(cli: CommandLine, value: str) -> None:
    cli.daemon({**ANSWERS, "lease.acquire": {"value": value}})
    done = cli.run("credentials", NAME)
    assert (done.returncode, done.stdout) == (6, "")
    assert "does not hold credentials of AWS" in done.stderr
    assert value not in done.stderr


def test_a_secret_that_does_not_sign_is_refused_by_the_daemon(cli: CommandLine) -> None:
    fake = cli.daemon({"session.open": UsageError("openai/dev is no credentials of AWS")})
    done = cli.run("credentials", "openai/dev")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no credentials of AWS" in done.stderr
    assert fake.params("lease.acquire") == []


def test_who_is_asked_is_told_that_another_program_gets_them(cli: CommandLine) -> None:
    fake = cli.daemon({**ANSWERS, "session.open": {**OPENED, "pending": [NAME]}})
    piped = ["/bin/sh", "-c", '"$@" | cat >read', "sh", *cli.command, "credentials", NAME]
    asking = PseudoTerminal(piped, cli.env, cli.folder)
    asking.expect("A program that runs `brokerctl credentials`, and keeps what it gets")
    asking.expect("[y/N] ")
    asking.type("n\n")
    asking.end()
    assert (cli.folder / "read").read_text() == ""
    assert fake.params("lease.acquire") == []


def test_nobody_to_ask_is_a_refusal(cli: CommandLine) -> None:
    fake = cli.daemon({**ANSWERS, "session.open": {**OPENED, "pending": [NAME]}})
    done = cli.run("credentials", NAME)
    assert (done.returncode, done.stdout) == (3, "")
    assert "a person has to approve bedrock/dev" in done.stderr
    # No broker.toml lets this command: who trusted one would be asked again.
    assert "a [[grant]] in policy.toml, or for `brokerctl run` with `brokerctl init" in done.stderr
    assert fake.params("lease.acquire") == []
