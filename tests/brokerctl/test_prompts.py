"""Asking a person, in a real terminal: unseen, and leaving the terminal as it was."""

from __future__ import annotations

import resource
import signal
import subprocess

import pytest

from tests.brokerctl.conftest import CommandLine

STORED = {"secret.set": {"name": "openai/dev", "version": "1", "created": True}}


def test_a_value_is_typed_unseen(cli: CommandLine) -> None:
    fake = cli.daemon(STORED)
    asking = cli.terminal("secret", "set", "openai/dev")
    asking.expect("Value of openai/dev: ")
    assert not asking.echoes()
    asking.type("my-secret-value\n")
    assert asking.end() == 0
    assert "my-secret-value" not in asking.seen
    assert fake.params("secret.set") == [{"name": "openai/dev", "value": "my-secret-value"}]


def test_the_terminal_echoes_again_afterwards(cli: CommandLine) -> None:
    cli.daemon(STORED)
    asking = cli.terminal("secret", "set", "openai/dev")
    asking.expect("Value of openai/dev: ")
    asking.type("v\n")
    asking.expect("stored, version 1")
    assert asking.echoes()
    asking.end()


def test_ctrl_c_stores_nothing_and_brings_the_echo_back(cli: CommandLine) -> None:
    fake = cli.daemon(STORED)
    asking = cli.terminal("secret", "set", "openai/dev")
    asking.expect("Value of openai/dev: ")
    asking.type("half-a-key\x03")
    asking.process.wait(30)
    assert asking.echoes()
    assert asking.end() == 130
    assert fake.calls == []
    assert "half-a-key" not in asking.seen


def test_no_core_dump_while_a_value_is_typed(cli: CommandLine) -> None:
    limits_of = getattr(resource, "prlimit", None)
    if limits_of is None:
        pytest.skip("only Linux tells of another process's limits")
    cli.daemon(STORED)
    asking = cli.terminal("secret", "set", "openai/dev")
    asking.expect("Value of openai/dev: ")
    assert limits_of(asking.process.pid, resource.RLIMIT_CORE)[0] == 0
    asking.type("half-a-key\x1c")  # Ctrl-\
    assert asking.end() == -signal.SIGQUIT


def test_nothing_typed_is_an_error(cli: CommandLine) -> None:
    fake = cli.daemon(STORED)
    for keys in ("\n", "\x04"):
        asking = cli.terminal("secret", "set", "openai/dev")
        asking.expect("Value of openai/dev: ")
        asking.type(keys)
        assert asking.end() == 2
        assert "nothing was entered" in asking.seen
    assert fake.calls == []


def test_what_follows_a_pasted_key_is_dropped(cli: CommandLine) -> None:
    cli.daemon(STORED)
    asking = cli.terminal("secret", "set", "openai/dev")
    asking.expect("Value of openai/dev: ")
    asking.type("the-key\nrm -rf nothing\n")
    assert asking.end() == 0
    assert "rm -rf" not in asking.seen


def test_a_value_comes_from_a_pipe_without_its_line_end(cli: CommandLine) -> None:
    fake = cli.daemon(STORED)
    for given in ("v\n", "v\r\n", "v"):
        assert cli.run("secret", "set", "openai/dev", stdin=given).returncode == 0
    assert [each["value"] for each in fake.params("secret.set")] == ["v", "v", "v"]


def test_only_one_line_end_is_taken_away(cli: CommandLine) -> None:
    fake = cli.daemon(STORED)
    cli.run("secret", "set", "openai/dev", stdin="v\n\n")
    assert fake.params("secret.set")[0]["value"] == "v\n"


def test_a_bad_pipe_is_refused_without_repeating_it(cli: CommandLine) -> None:
    fake = cli.daemon(STORED)
    for given in (b"", b"\n", b"\xff\xfekey", b"x" * 70_000):
        done = cli.run("secret", "set", "openai/dev", stdin=given)
        assert done.returncode == 2
        assert "key" not in done.stderr
    assert fake.calls == []


def test_a_pipe_is_read_although_there_is_a_terminal(cli: CommandLine) -> None:
    fake = cli.daemon(STORED)
    piped = cli.terminal("secret", "set", "openai/dev", stdin=b"piped\n")
    assert piped.end() == 0
    assert fake.params("secret.set")[0]["value"] == "piped"


def test_colour_only_in_a_terminal_that_wants_it(cli: CommandLine) -> None:
    for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)):
        shown = cli.terminal("secret", "rm", "NOT A NAME", env=env)
        assert shown.end() == 2
        assert ("\x1b[" in shown.seen) is coloured


def test_the_value_is_in_no_command_line(cli: CommandLine) -> None:
    cli.daemon(STORED)
    asking = cli.terminal("secret", "set", "openai/dev")
    asking.expect("Value of openai/dev: ")
    shown = subprocess.run(
        ["ps", "-o", "args=", "-p", str(asking.process.pid)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout.strip().endswith("-m brokerctl secret set openai/dev")
    asking.type("v\n")
    assert asking.end() == 0
