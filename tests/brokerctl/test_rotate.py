"""`brokerctl rotate`: what is asked of the daemon, and how it waits."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

from brokershim.errors import BackendRefused, DaemonUnreachable, RateLimited, UsageError
from tests.brokerctl.conftest import CommandLine

BEGUN = {"name": "openai/dev", "version": "v2"}


def _after(*answers: dict[str, Any] | Exception) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Answer each question by the next of these, and then always by the last."""
    left = list(answers)

    def answer(_: dict[str, Any]) -> dict[str, Any]:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    return answer


def test_it_waits_until_the_new_key_is_in_use(cli: CommandLine) -> None:
    busy = RateLimited("wait")
    fake = cli.daemon(
        {"secret.rotate": BEGUN, "secret.rotation": _after({"done": False}, busy, {"done": True})}
    )
    done = cli.run("rotate", "openai/dev")
    assert (done.returncode, done.stdout) == (0, "openai/dev rotated, now version v2\n")
    assert fake.params("secret.rotate") == [{"name": "openai/dev"}]
    assert fake.params("secret.rotation") == [{"name": "openai/dev", "version": "v2"}] * 3


def test_json(cli: CommandLine) -> None:
    cli.daemon({"secret.rotate": BEGUN, "secret.rotation": {"done": True}})
    assert json.loads(cli.run("rotate", "openai/dev", "--json").stdout) == BEGUN


def test_a_rotation_that_fails_is_an_error(cli: CommandLine) -> None:
    cli.daemon({"secret.rotate": BEGUN, "secret.rotation": BackendRefused("it has failed")})
    done = cli.run("rotate", "openai/dev")
    assert (done.returncode, done.stdout) == (3, "")
    assert "it has failed" in done.stderr


def test_a_backend_that_rotates_nothing_is_said(cli: CommandLine) -> None:
    cli.daemon({"secret.rotate": UsageError("makes no newer key")})
    assert cli.run("rotate", "openai/dev").returncode == 2


def test_it_does_not_wait_for_ever(cli: CommandLine) -> None:
    cli.daemon({"secret.rotate": BEGUN, "secret.rotation": {"done": False}})
    done = cli.run("rotate", "openai/dev", "--timeout", "1s")
    assert done.returncode == 6
    assert "is not over after" in done.stderr
    assert "hint: `brokerctl rotate openai/dev` waits for it again" in done.stderr


def test_a_daemon_that_stops_ends_the_waiting_alone(cli: CommandLine) -> None:
    cli.daemon({"secret.rotate": BEGUN, "secret.rotation": DaemonUnreachable("it stops")})
    done = cli.run("rotate", "openai/dev")
    assert done.returncode == 5
    assert "the rotation of openai/dev goes on" in done.stderr


def test_ctrl_c_ends_the_waiting_alone(cli: CommandLine) -> None:
    fake = cli.daemon({"secret.rotate": BEGUN, "secret.rotation": {"done": False}})
    terminal = cli.terminal("rotate", "openai/dev")
    terminal.expect("asking for a newer key of openai/dev")
    terminal.expect("waiting for version v2")
    terminal.type("\x03")
    terminal.expect("`brokerctl rotate openai/dev` waits for it again")
    assert terminal.end() == 128 + signal.SIGINT
    assert len(fake.params("secret.rotate")) == 1
