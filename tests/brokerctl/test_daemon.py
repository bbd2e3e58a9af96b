"""Starting, finding and ending the real daemon."""

from __future__ import annotations

import json
import os
import select
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from brokerctl.commands import daemon as commands
from brokershim.client import Client
from brokershim.errors import DaemonUnreachable
from tests.brokerctl.conftest import CommandLine
from tests.brokerctl.test_status import STATUS


@pytest.fixture
def real(cli: CommandLine) -> Iterator[CommandLine]:
    """Give a command line whose daemon, if one gets started, is ended."""
    yield cli
    cli.run("daemon", "stop")


def facts(cli: CommandLine) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cli.run("daemon", "status", "--json").stdout)
    return found


def test_it_starts_when_it_is_needed(real: CommandLine) -> None:
    assert real.run("daemon", "status").returncode == 5
    assert real.run("secret", "list").returncode == 0
    assert real.run("daemon", "status").returncode == 0


def test_start_stop_and_again(real: CommandLine) -> None:
    assert real.run("daemon", "start").stdout.startswith("started, process ")
    pid = facts(real)["pid"]
    assert real.run("daemon", "start").stdout == f"already running, process {pid}\n"
    assert real.run("daemon", "stop").stdout == "stopped\n"
    assert real.run("daemon", "status").returncode == 5
    assert real.run("daemon", "stop").stderr == "brokerctl: no daemon runs\n"
    assert real.run("daemon", "start").returncode == 0
    assert facts(real)["pid"] != pid


def test_stop_waits_until_the_process_is_gone(real: CommandLine) -> None:
    real.run("daemon", "start")
    pid = facts(real)["pid"]
    pin_of = getattr(os, "pidfd_open", None)
    if pin_of is None:
        pytest.skip("only Linux has descriptors of processes")
    watched = pin_of(pid)
    real.run("daemon", "stop")
    assert select.select([watched], [], [], 0)[0]
    os.close(watched)


def test_twenty_commands_at_once_start_one_daemon(real: CommandLine) -> None:
    with ThreadPoolExecutor(20) as pool:
        begun = [pool.submit(real.run, "daemon", "start") for _ in range(20)]
    done = [each.result() for each in begun]
    assert {each.returncode for each in done} == {0}, [each.stderr for each in done]
    assert len({each.stdout.split()[-1] for each in done}) == 1
    log = (real.state / "daemon.log").read_text()
    assert log.count("serving") == 1


def test_one_that_does_not_end_is_said_not_to(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test itself is at the socket's other end, and goes on."""
    cli.daemon({"daemon.stop": {}})
    monkeypatch.setattr(commands, "_NOTE_AFTER", 0.0)
    monkeypatch.setattr(commands, "_STOP_SECONDS", 0.0)
    client = Client(cli.socket)
    with pytest.raises(DaemonUnreachable, match="has not ended") as caught:
        commands._stop(client)
    client.close()
    assert f"`kill {os.getpid()}`" in caught.value.hint


def test_its_log_is_private_and_shown(real: CommandLine) -> None:
    assert real.run("daemon", "logs").stderr == "brokerctl: the daemon has written nothing yet\n"
    real.run("daemon", "start")
    log = real.state / "daemon.log"
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    with log.open("a") as file:
        file.write("".join(f"line {n}\x1b[2J\n" for n in range(100)))
    assert real.run("daemon", "logs", "-n", "1").stdout == "line 99\\x1b[2J\n"
    assert len(real.run("daemon", "logs").stdout.splitlines()) == 50


def test_what_it_cannot_start_for_is_passed_on(real: CommandLine) -> None:
    folder = real.home / ".config" / "brokerctl"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "config.toml").write_text("[store]\ncolour = 1\n")
    (folder / "config.toml").chmod(0o600)
    done = real.run("secret", "list")
    assert done.returncode == 2
    assert "unknown key store.colour" in done.stderr


def test_a_loose_state_folder_is_refused(real: CommandLine) -> None:
    real.state.chmod(0o755)
    done = real.run("secret", "list")
    assert done.returncode == 3
    assert "chmod 0700" in done.stderr


def test_a_state_folder_that_is_a_file_is_an_error(real: CommandLine) -> None:
    folder = real.home / ".local" / "state"
    folder.mkdir(parents=True)
    (folder / "brokerctl").write_text("")
    done = real.run("secret", "list")
    assert done.returncode == 3
    assert "is not a folder of its own" in done.stderr


def test_a_stale_socket_is_no_daemon(real: CommandLine) -> None:
    os.makedirs(os.path.dirname(real.socket), mode=0o700)
    left = socket.socket(socket.AF_UNIX)
    left.bind(real.socket)
    left.close()
    assert real.run("daemon", "status").returncode == 5
    assert real.run("daemon", "start").returncode == 0
    assert real.run("daemon", "status").returncode == 0


def test_a_socket_that_is_named_elsewhere_starts_nothing(real: CommandLine) -> None:
    done = real.run("secret", "list", env={"BROKER_SOCKET": "/nowhere/broker.sock"})
    assert done.returncode == 5
    assert "unset BROKER_SOCKET" in done.stderr
    assert not (real.home / "run").exists()


def test_everything_follows_from_home_where_there_is_no_runtime_folder(real: CommandLine) -> None:
    del real.env["XDG_RUNTIME_DIR"]
    real.env["HOME"] = str(real.home / ("long" * 30))  # past what a socket's address holds
    os.mkdir(real.env["HOME"])
    assert real.run("daemon", "start").returncode == 0
    assert real.run("secret", "list").returncode == 0
    assert os.path.exists(f"{real.env['HOME']}/.local/state/brokerctl/run/broker.sock")
    assert real.run("daemon", "stop").returncode == 0


def test_the_status_of_a_daemon(cli: CommandLine) -> None:
    cli.daemon({"daemon.status": STATUS})
    done = cli.run("daemon", "status")
    assert done.stdout == "running, process 7, version 0.1.0, up 1m 1s\n"
