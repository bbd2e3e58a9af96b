"""How does the daemon itself start and stop, alone and in company?"""

from __future__ import annotations

import os
import signal
import subprocess
import threading

import pytest

from brokershim.errors import AlreadyRunning, InsecurePath
from tests.support.daemon import (
    PLAIN_UID,
    Daemon,
    World,
    failure_to_start,
    new_world,
    own_python,
    plain_python,
    started,
    started_as_plain_user,
)
from tests.support.puppet import Stage
from tests.support.require import require_root


def test_a_daemon_in_folders_with_long_names_is_reached() -> None:
    with new_world(long=True) as world, started(world) as daemon:
        assert len(world.socket) > 108
        assert daemon.call("daemon.status")["pid"] == daemon.pid


def test_a_hardened_daemon_of_a_plain_user_is_reached_in_folders_with_long_names() -> None:
    """Its /proc/self/fd, by way of which it binds, belongs to root then."""
    require_root()
    with (
        new_world(PLAIN_UID, long=True) as world,
        started_as_plain_user(world) as daemon,
        Stage(world) as stage,
    ):
        puppet = stage.enter_as(PLAIN_UID, plain_python())
        assert puppet.call("daemon.status")["pid"] == daemon.pid


def test_of_ten_daemons_started_together_one_serves(world: World) -> None:
    command = [*own_python(), "-m", "brokerd"]
    found: list[Daemon] = []
    threads = [
        threading.Thread(target=lambda: found.append(Daemon(world, command))) for _ in range(10)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    serving = [each for each in found if each.first_words == "ready"]
    others = [each for each in found if each not in serving]
    assert len(serving) == 1
    for each in others:
        with pytest.raises(AlreadyRunning):
            each.raise_if_not_ready()
        assert each.process.returncode == AlreadyRunning.exit_status
    assert serving[0].call("daemon.status")["pid"] == serving[0].pid
    serving[0].stop()
    assert len(world.events("daemon.started")) == 1


def test_a_daemon_takes_the_place_of_one_that_was_killed(world: World) -> None:
    with started(world) as first:
        first.kill()
        assert os.path.lexists(world.socket)
    with started(world) as second:
        assert second.call("daemon.status")["pid"] == second.pid


def test_a_daemon_whose_socket_was_removed_stops_by_itself(daemon: Daemon) -> None:
    os.unlink(daemon.world.socket)
    assert daemon.process.wait(5) == 0
    assert daemon.world.events("daemon.stopped")
    assert daemon.log.count("the socket was removed or replaced") == 1


def test_a_daemon_whose_folder_was_removed_stops_by_itself(daemon: Daemon) -> None:
    os.rename(daemon.world.runtime, daemon.world.root / "away")
    assert daemon.process.wait(5) == 0


def test_a_daemon_cannot_start_in_a_loose_folder(world: World) -> None:
    world.runtime.mkdir(mode=0o755)
    error = failure_to_start(world)
    assert isinstance(error, InsecurePath)
    assert str(world.runtime) in error.message
    assert error.hint == f"chmod 0700 {world.runtime}"


@pytest.mark.parametrize("folder", ["config", "state"])
def test_a_daemon_cannot_start_with_loose_files(world: World, folder: str) -> None:
    place = world.root / folder / "brokerctl"
    place.mkdir(exist_ok=True)
    place.chmod(0o755)
    error = failure_to_start(world)
    assert isinstance(error, InsecurePath)
    assert str(place) in error.message


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(world: World, number: int) -> None:
    with started(world) as daemon:
        os.kill(daemon.pid, number)
        daemon.stop()
    assert [each["event"] for each in world.events()] == ["daemon.started", "daemon.stopped"]


def _lives(process: subprocess.Popen[bytes]) -> bool:
    """Look for a few milliseconds: signals without a pause leave a process no time at all."""
    try:
        process.wait(0.005)
    except subprocess.TimeoutExpired:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order_however_often_it_comes(world: World, number: int) -> None:
    with started(world) as daemon:
        while _lives(daemon.process):
            daemon.process.send_signal(number)
        assert daemon.process.returncode == 0
        assert daemon.log.rstrip().endswith("INFO stopped")


_FAULTY = """
import runpy, threading
from concurrent.futures import ThreadPoolExecutor
from brokerd.daemon import Daemon

async def run(self, ready):
    threads, hangs = ThreadPoolExecutor(), threading.Event()
    threads.submit(lambda: (hangs.set(), threading.Event().wait()))
    hangs.wait()
    key = "sk-in-a-variable"
    raise RuntimeError("out of nowhere")

Daemon.run = run
runpy.run_module("brokerd", run_name="__main__", alter_sys=True)
"""


def test_a_fault_of_its_own_ends_it_though_a_thread_hangs(world: World) -> None:
    done = subprocess.run(
        [*own_python(), "-c", _FAULTY],
        env=world.environ,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.endswith("RuntimeError: out of nowhere\n")
    assert "sk-in-a-variable" not in done.stderr
