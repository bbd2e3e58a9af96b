from __future__ import annotations

import os
import re

import pytest

from brokershim import __version__
from tests.support.daemon import REPOSITORY, Daemon, World, failure_to_start, started
from tests.support.puppet import Stage


def test_the_status_says_what_the_protocol_says(daemon: Daemon) -> None:
    found = daemon.call("daemon.status")
    text = (REPOSITORY / "docs" / "protocol.md").read_text()
    described = re.search(r"`daemon\.status`\*\* `\{\}` → `\{([^}]*)\}`", text)
    assert described is not None
    assert set(found) == set(re.findall(r"\w+", described[1]))
    assert (found["pid"], found["version"]) == (daemon.pid, __version__)
    assert (found["sessions"], found["leases"], found["connections"]) == (0, 0, 1)
    assert found["policy"] == {"grants": 0, "error": None}
    assert found["store"]["exists"]
    assert not found["store"]["locked"]


def test_the_status_counts(daemon: Daemon, stage: Stage) -> None:
    daemon.world.grant("*")
    holder = stage.enter()
    holder.call("session.open", program="/bin/true", env={"A": "openai/dev"})
    for _ in range(3):
        holder.call("lease.acquire", secret="openai/dev")
    found = daemon.call("daemon.status")
    assert (found["sessions"], found["leases"], found["connections"]) == (1, 3, 2)
    assert found["policy"]["grants"] == 1


def test_a_broken_policy_shows_in_the_status(daemon: Daemon) -> None:
    path = daemon.world.write_config("policy.toml", "[[grant]\n")
    found = daemon.call("daemon.status")["policy"]
    assert found["grants"] == 0
    assert str(path) in found["error"]


def test_a_change_of_the_configuration_shows_in_the_status(daemon: Daemon) -> None:
    assert daemon.call("daemon.status")["config_changed"] is False
    daemon.world.write_config("config.toml", "[audit]\nrotate_bytes = 2000000\n")
    assert daemon.call("daemon.status")["config_changed"] is True


def test_the_head_is_the_last_line_of_the_audit(daemon: Daemon) -> None:
    last = daemon.world.events()[-1]
    assert daemon.call("audit.head") == {"seq": last["seq"], "hash": last["hash"]}


def test_who_stops_it_is_written_down_and_hears_that_it_will(daemon: Daemon, stage: Stage) -> None:
    puppet = stage.enter()
    assert puppet.call("daemon.stop") == {}
    assert daemon.process.wait(5) == 0
    stopping, stopped = daemon.world.events("daemon.stopping", "daemon.stopped")
    assert stopping["pid"] == puppet.pid
    assert stopping["executable"] == os.readlink(f"/proc/{puppet.pid}/exe")
    assert stopped["pid"] == daemon.pid


@pytest.mark.parametrize("text", ["[store]\nmaster = 1\n", "[[["])
def test_a_setting_that_is_not_understood_keeps_it_from_starting(world: World, text: str) -> None:
    path = world.write_config("config.toml", text)
    error = failure_to_start(world)
    assert error.kind == "usage.config"
    assert str(path) in error.message


def test_it_starts_without_any_file_of_its_own(world: World) -> None:
    (world.config / "config.toml").unlink()
    world.config.rmdir()
    with started(world) as daemon:
        assert daemon.call("daemon.status")["policy"] == {"grants": 0, "error": None}
