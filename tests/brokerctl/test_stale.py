"""Who works with a daemon that is older than config.toml hears so."""

from __future__ import annotations

from typing import Any

import pytest

from brokershim.errors import BrokerError, Locked, SecretNotFound
from tests.brokerctl.conftest import CommandLine
from tests.brokerctl.test_status import ALL, STATUS

_WORDS = "warning: config.toml has changed since the daemon started"
_REMEDY = "`brokerctl daemon stop`"


def _answers(changed: bool, **more: Any) -> dict[str, Any]:
    return {**ALL, "daemon.status": {**STATUS, "config_changed": changed}, **more}


@pytest.mark.parametrize("command", ["status", "whoami"])
@pytest.mark.parametrize("changed", [True, False])
def test_who_looks_is_told(cli: CommandLine, command: str, changed: bool) -> None:
    cli.daemon(_answers(changed))
    done = cli.run(command)
    assert done.returncode == 0
    assert (_WORDS in done.stderr, _REMEDY in done.stderr) == (changed, changed)


@pytest.mark.parametrize("error", [SecretNotFound("there is none"), Locked("it is locked")])
@pytest.mark.parametrize("changed", [True, False])
def test_who_finds_nothing_is_told(cli: CommandLine, error: BrokerError, changed: bool) -> None:
    cli.daemon(_answers(changed, **{"secret.show": error}))
    done = cli.run("secret", "show", "corp/key")
    assert done.returncode == error.exit_status
    assert error.message in done.stderr
    assert (_WORDS in done.stderr) == changed


@pytest.mark.parametrize("changed", [True, False])
def test_the_doctor_tells(cli: CommandLine, changed: bool) -> None:
    cli.daemon(_answers(changed))
    assert ("config.toml has changed since" in cli.run("doctor").stdout) == changed


def test_a_daemon_from_before_an_upgrade_does_not_say(cli: CommandLine) -> None:
    old = {name: it for name, it in STATUS.items() if name != "config_changed"}
    cli.daemon({**ALL, "daemon.status": old})
    done = cli.run("status")
    assert done.returncode == 0
    assert _WORDS not in done.stderr
