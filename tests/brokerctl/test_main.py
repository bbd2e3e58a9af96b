"""How commands end, what is imported for them, and what never reaches the terminal."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from brokershim.errors import BY_KIND, BrokerError
from tests.brokerctl.conftest import CommandLine

KEY = "sk-proj-" + "A1b2C3d4" * 4
HEAVY = {
    "asyncio", "cryptography", "keyring", "psutil", "tomlkit", "tomllib", "jsonschema", "ssl",
    "subprocess", "http", "urllib.request", "email", "logging", "importlib.metadata", "botocore",
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(BY_KIND))
def test_every_error_is_two_lines_and_its_own_exit_status(cli: CommandLine, kind: str) -> None:
    error = BY_KIND[kind]("it went wrong", hint="do this")
    cli.daemon({"secret.remove": error})
    done = cli.run("secret", "rm", "openai/dev")
    assert done.returncode == error.exit_status
    assert done.stdout == ""
    assert done.stderr == "brokerctl: error: it went wrong\nbrokerctl: hint: do this\n"


@pytest.mark.parametrize(
    "args",
    [
        ["nope"],
        ["secret", "nope"],
        ["run"],
        ["secret", "set"],
        ["status", "--nope"],
        ["leases", "x"],
    ],
)
def test_a_command_line_that_is_not_understood_ends_with_2(
    cli: CommandLine, args: list[str]
) -> None:
    done = cli.run(*args)
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert first.startswith("brokerctl: error: ")
    assert second.startswith("brokerctl: hint: see `brokerctl")


def test_no_command_shows_the_help_and_ends_with_2(cli: CommandLine) -> None:
    done = cli.run()
    assert done.returncode == 2
    assert "Usage: brokerctl" in done.stderr


def test_the_help_lists_every_command(cli: CommandLine) -> None:
    done = cli.run("--help")
    assert done.returncode == 0
    for name in ("secret", "init", "allow", "run", "status", "leases", "audit", "revoke", "unlock",
                 "lock", "daemon", "doctor", "completion"):  # fmt: skip
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("command", ["completion", "credentials"])
def test_a_help_with_lines_of_its_own_keeps_them(cli: CommandLine, command: str) -> None:
    lines = cli.run(command, "--help").stdout.splitlines()
    assert [each for each in lines if r"\b" in each] == []
    kept = {
        "completion": "  fish:  brokerctl completion fish | source          in "
        "~/.config/fish/config.fish",
        "credentials": "      credential_process = brokerctl credentials bedrock/dev",
    }
    assert kept[command] in lines


def test_the_version(cli: CommandLine) -> None:
    assert cli.run("--version").stdout == "brokerctl 0.1.0\n"


@pytest.mark.parametrize(
    "args",
    [
        ["secret", "set", "openai/dev", KEY],
        ["secret", "set", KEY],
        ["secret", "show", KEY],
        ["secret", "set", "openai/dev", f"--value={KEY}"],
        ["secret", "set", "openai/dev", "--max-ttl", KEY],
        ["secret", "rm", "openai/dev", KEY],
        ["run", "--env", f"OPENAI_API_KEY={KEY}", "true"],
        ["run", "--env", KEY, "true"],
        ["init", f"OPENAI_API_KEY={KEY}"],
        ["leases", KEY],
        [KEY],
    ],
)
def test_a_key_in_the_wrong_place_is_not_repeated(cli: CommandLine, args: list[str]) -> None:
    done = cli.run(*args)
    assert done.returncode == 2
    assert KEY not in done.stdout + done.stderr


def test_a_value_as_an_argument_is_refused_with_the_reason(cli: CommandLine) -> None:
    fake = cli.daemon()
    done = cli.run("secret", "set", "openai/dev", "hunter2")
    assert done.returncode == 2
    assert "not taken from the command line" in done.stderr
    assert "hunter2" not in done.stderr
    assert fake.calls == []


def test_the_daemons_words_cannot_drive_the_terminal(cli: CommandLine) -> None:
    cli.daemon({"secret.remove": BrokerError("\x1b[2Jgone\nbrokerctl: fine", hint="a\x07b\u202ec")})
    done = cli.run("secret", "rm", "openai/dev")
    assert done.stderr.splitlines() == [
        r"brokerctl: error: \x1b[2Jgone\nbrokerctl: fine",
        r"brokerctl: hint: a\x07b\u202ec",
    ]


def test_a_closed_pipe_is_quiet(cli: CommandLine) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as closed:
        done = subprocess.run(
            [*cli.command, "status", "--json"],
            stdout=closed, stderr=subprocess.PIPE, env=cli.env, cwd=cli.folder, check=False,
        )  # fmt: skip
    assert done.stderr == b""
    assert done.returncode == 1


def test_a_full_disk_is_an_error(cli: CommandLine) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*cli.command, "status"],
            stdout=full, stderr=subprocess.PIPE, env=cli.env, cwd=cli.folder, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(b"brokerctl: error: No space left on device")


@pytest.mark.parametrize(
    ("shell", "status"), [("<&-", 1), ("<&- >&-", 1), ("<&- 2>&-", 1), ("<&- >&- 2>&-", 1)]
)
def test_closed_descriptors_are_no_crash(cli: CommandLine, shell: str, status: int) -> None:
    words = ["sh", "-c", f'exec "$@" {shell}', "sh", *cli.command, "secret", "set", "a"]
    done = subprocess.run(
        words, env=cli.env, cwd=cli.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    closed = subprocess.run([*words[:2], 'exec "$@" >&-', "sh", *cli.command, "status"],
                            env=cli.env, check=False)  # fmt: skip
    assert closed.returncode == 0


def test_an_interrupt_ends_quietly_with_130(cli: CommandLine) -> None:
    asking = cli.terminal("secret", "set", "openai/dev")
    asking.expect("Value of openai/dev: ")
    asking.process.send_signal(signal.SIGINT)
    assert asking.end() == 130
    assert asking.seen.strip() == "Value of openai/dev:"


def test_run_imports_nothing_heavy(cli: CommandLine) -> None:
    cli.daemon({"session.open": {"session": "s1", "env": {"A": "b"}, "pending": [], "logins": []}})
    done = cli.run("run", "--env", "A=b", "true", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "brokerctl.launch" in imported
    assert not imported & HEAVY


def test_a_command_that_is_not_called_is_not_imported(cli: CommandLine) -> None:
    done = cli.run("--version", env={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "click" in imported
    assert "brokershim.client" not in imported
