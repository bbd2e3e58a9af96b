"""One that was started by other means is as good as one that we start."""

from __future__ import annotations

import fcntl
import os

import pytest

from brokerctl import autostart
from brokershim.errors import AlreadyRunning, DaemonUnreachable
from tests.brokerctl.conftest import CommandLine


@pytest.fixture(autouse=True)
def home(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process see the command line's own home."""
    for name in ("HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, cli.env[name])


def test_one_that_began_at_the_same_time_is_used(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spawn(timeout: float) -> None:
        assert timeout == autostart.START_SECONDS
        cli.daemon({"daemon.status": {"pid": 7}})
        raise AlreadyRunning("another daemon runs")

    monkeypatch.setattr("brokerctl.spawn.spawn", spawn)
    client = autostart.connect_or_start()
    assert client.call("daemon.status") == {"pid": 7}
    client.close()


def test_one_that_never_answers_is_an_error(cli: CommandLine) -> None:
    os.makedirs(os.path.dirname(cli.socket), mode=0o700)
    with open(os.path.join(os.path.dirname(cli.socket), "daemon.lock"), "w") as lock:
        os.fchmod(lock.fileno(), 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert cli.run("secret", "list").returncode == 5


def test_whoever_starts_it_keeps_the_others_waiting(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second finds the first one's daemon, once it holds the lock."""
    folder = os.path.dirname(cli.socket)
    os.makedirs(folder, mode=0o700)
    first = os.open(os.path.join(folder, "start.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(first, fcntl.LOCK_EX)

    def sleep(_: float) -> None:
        cli.daemon({})
        fcntl.flock(first, fcntl.LOCK_UN)

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("brokerctl.spawn.spawn", pytest.fail)
    autostart.connect_or_start().close()
    os.close(first)


def test_waiting_for_another_ends_some_time(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = os.path.dirname(cli.socket)
    os.makedirs(folder, mode=0o700)
    first = os.open(os.path.join(folder, "start.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(first, fcntl.LOCK_EX)
    clock = iter(range(0, 1000, 15))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("time.sleep", float)  # takes the seconds, and waits for none
    with pytest.raises(DaemonUnreachable, match="keeps starting"):
        autostart.connect_or_start()
    os.close(first)
