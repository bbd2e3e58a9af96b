from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from brokerd.identities.base import Standing
from brokershim.client import Client
from brokershim.errors import (
    BackendTimeout,
    DaemonUnreachable,
    IdentityNotFound,
    IdentityUnavailable,
    InvalidParams,
    LoginRefused,
    LoginRequired,
    LoginUnderWay,
    NotFound,
    ServerDown,
    UsageError,
)
from tests.support import identity_daemon
from tests.support.daemon import Daemon, World, own_python, wait_until
from tests.support.identities import CODE, READY, URL, FolderIdentity
from tests.support.puppet import Stage


@pytest.fixture
def work(world: World) -> FolderIdentity:
    """Configure an identity for whom the test is the person."""
    text = identity_daemon.CONFIG.format(folder=json.dumps(str(world.home)))
    world.write_config("config.toml", text)
    return FolderIdentity("work", world.home)


@pytest.fixture
def daemon(world: World, work: FolderIdentity) -> Iterator[Daemon]:
    del work  # configured before the daemon starts
    running = Daemon(world, [*own_python(), identity_daemon.__file__])
    try:
        running.raise_if_not_ready()
        yield running
    except BaseException:
        running.abandon()
        raise
    running.stop()


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    made = daemon.client()
    yield made
    made.close()


def _rows(daemon: Daemon) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in daemon.call("identity.list")["identities"]}


def _begin(client: Client, mode: str = "browser") -> str:
    found: str = client.call("login.begin", identity="work", mode=mode)["login"]
    return found


def _log_in(client: Client, work: FolderIdentity) -> None:
    number = _begin(client)
    work.answer("yes")
    assert client.call("login.wait", login=number, seconds=20)["done"]


def test_the_list_says_how_each_stands(daemon: Daemon, work: FolderIdentity) -> None:
    work.stands(Standing("due", "https://id.example", "alice", 60.5, "the login ends soon"))
    rows = _rows(daemon)
    assert list(rows) == ["machine", "work"]
    assert rows["work"] == {
        "name": "work",
        "kind": "folder",
        "personal": True,
        "state": "due",
        "issuer": "https://id.example",
        "subject": "alice",
        "until": 60.5,
        "reason": "the login ends soon",
    }
    assert not rows["machine"]["personal"]
    assert (rows["machine"]["state"], rows["machine"]["until"]) == ("absent", None)


def test_what_a_provider_says_of_somebody_never_breaks_the_line(
    daemon: Daemon, work: FolderIdentity
) -> None:
    work.stands(Standing("ready", "i" * 40_000, "s" * 40_000, None, "r" * 40_000))
    row = _rows(daemon)["work"]
    assert all(len(row[each]) <= 256 for each in ("issuer", "subject", "reason"))


def test_an_identity_that_cannot_say_is_told_apart(daemon: Daemon, work: FolderIdentity) -> None:
    work.file("state-fails").touch()
    row = _rows(daemon)["work"]
    assert (row["state"], row["reason"]) == ("failed", "id.example cannot be reached")


def test_a_login_by_browser(daemon: Daemon, client: Client, work: FolderIdentity) -> None:
    begun = client.call("login.begin", identity="work", mode="browser")
    assert (begun["url"], begun["user_code"], begun["seconds"]) == (URL, None, 300)
    assert client.call("login.wait", login=begun["login"], seconds=0) == {"done": False}
    work.answer("yes")
    ended = client.call("login.wait", login=begun["login"], seconds=20)
    assert ended == {
        "done": True,
        "state": "ready",
        "issuer": "https://id.example",
        "subject": "alice",
        "until": 7200,
        "reason": "",
    }
    assert _rows(daemon)["work"]["state"] == "ready"
    begun_event, ended_event = daemon.world.events("identity.login_begun", "identity.logged_in")
    assert (begun_event["identity"], begun_event["pid"]) == ("work", os.getpid())
    assert (ended_event["subject"], ended_event["issuer"]) == ("alice", READY.issuer)


def test_a_login_by_what_is_typed(daemon: Daemon, client: Client, work: FolderIdentity) -> None:
    assert client.call("login.begin", identity="work", mode="device")["asks"] is None
    client.close()
    wait_until(lambda: len(daemon.world.events("identity.login_failed")) == 1)
    work.file("asks").write_text("the number")
    typing = daemon.client()
    begun = typing.call("login.begin", identity="work", mode="browser")
    assert (begun["url"], begun["user_code"], begun["asks"]) == ("", None, "the number")
    with pytest.raises(UsageError, match="no number"):
        typing.call("login.answer", login=begun["login"], value="x")
    assert typing.call("login.answer", login=begun["login"], value="31415926535") == {}
    assert typing.call("login.wait", login=begun["login"], seconds=20)["done"]
    with pytest.raises(NotFound):
        typing.call("login.answer", login=begun["login"], value="31415926535")
    typing.close()
    assert "31415926535" not in str(daemon.world.events())


def test_a_login_by_code(client: Client) -> None:
    assert client.call("login.begin", identity="work", mode="device")["user_code"] == CODE


def test_a_way_that_the_provider_does_not_offer(client: Client, work: FolderIdentity) -> None:
    work.file("no-device").touch()
    with pytest.raises(IdentityUnavailable):
        _begin(client, "device")


def test_why_a_login_failed(daemon: Daemon, client: Client, work: FolderIdentity) -> None:
    number = _begin(client)
    work.answer("it was refused")
    with pytest.raises(LoginRefused, match="it was refused"):
        client.call("login.wait", login=number, seconds=20)
    (failed,) = daemon.world.events("identity.login_failed")
    assert failed["kind"] == LoginRefused.kind


def test_a_login_is_its_own_connections_alone(daemon: Daemon, client: Client) -> None:
    number = _begin(client)
    for method, more in (("login.wait", {"seconds": 0}), ("login.cancel", {})):
        with pytest.raises(NotFound):
            daemon.call(method, login=number, **more)
    with pytest.raises(LoginUnderWay):
        daemon.call("login.begin", identity="work", mode="browser")
    assert client.call("login.wait", login=number, seconds=0) == {"done": False}


def test_a_login_that_is_given_up_makes_room(client: Client) -> None:
    assert client.call("login.cancel", login=_begin(client)) == {}
    _begin(client)


def test_who_hangs_up_gives_up(daemon: Daemon, client: Client, work: FolderIdentity) -> None:
    _begin(client)
    client.close()
    wait_until(lambda: bool(daemon.world.events("identity.login_failed")))
    work.answer("yes")
    assert _rows(daemon)["work"]["state"] == "login"


def test_the_daemons_end_gives_up(daemon: Daemon, client: Client) -> None:
    _begin(client)
    daemon.stop()
    events = [each["event"] for each in daemon.world.events()]
    assert events[-2:] == ["identity.login_failed", "daemon.stopped"]


def test_what_an_identity_is_about_to_keep_is_kept_as_the_daemon_ends(
    daemon: Daemon, client: Client, work: FolderIdentity
) -> None:
    _log_in(client, work)
    work.file("busy").touch()
    with ThreadPoolExecutor(1) as threads:
        logout = threads.submit(daemon.call, "identity.logout", identity="work")
        wait_until(work.file("at-it").exists)
        daemon.process.send_signal(signal.SIGTERM)
        with pytest.raises(DaemonUnreachable):  # who asked is not waited for
            logout.result(10)
    with pytest.raises(subprocess.TimeoutExpired):  # not before it is kept
        daemon.process.wait(0.3)
    work.file("busy").unlink()
    daemon.stop()
    assert not work.file("state").exists()


def test_logging_out(daemon: Daemon, client: Client, work: FolderIdentity) -> None:
    _log_in(client, work)
    assert daemon.call("identity.logout", identity="work") == {"was_logged_in": True}
    assert _rows(daemon)["work"]["state"] == "login"
    (out,) = daemon.world.events("identity.logged_out")
    assert (out["identity"], out["subject"], out["provider_told"]) == ("work", "alice", True)
    assert daemon.call("identity.logout", identity="work") == {"was_logged_in": False}


def test_logging_out_of_a_login_that_is_over(daemon: Daemon, work: FolderIdentity) -> None:
    work.stands(Standing("login", "https://id.example", "alice", 0.0, "the login is over"))
    assert daemon.call("identity.logout", identity="work") == {"was_logged_in": True}


@pytest.mark.parametrize("sign", ["down", "slow", "changed"])
def test_logging_out_where_the_provider_cannot_be_told(
    daemon: Daemon, client: Client, work: FolderIdentity, sign: str
) -> None:
    _log_in(client, work)
    work.file(sign).touch()
    with pytest.raises(ServerDown, match=r"has forgotten the login, but id\.example"):
        daemon.call("identity.logout", identity="work")
    assert _rows(daemon)["work"]["state"] == "login"
    (out,) = daemon.world.events("identity.logged_out")
    assert out["provider_told"] is False


def test_a_logout_that_forgot_nothing_is_none(
    daemon: Daemon, client: Client, work: FolderIdentity
) -> None:
    _log_in(client, work)
    work.file("keyring-hangs").touch()
    with pytest.raises(BackendTimeout):
        daemon.call("identity.logout", identity="work")
    assert _rows(daemon)["work"]["state"] == "ready"
    assert daemon.world.events("identity.logged_out") == []


def test_what_is_no_login(daemon: Daemon) -> None:
    for method, more in (("login.begin", {"mode": "browser"}), ("identity.logout", {})):
        with pytest.raises(IdentityNotFound) as missing:
            daemon.call(method, identity="sk-a-key-in-the-wrong-place", **more)
        assert "sk-" not in json.dumps(missing.value.to_wire())
        with pytest.raises(UsageError, match="needs no login"):
            daemon.call(method, identity="machine", **more)
        with pytest.raises(UsageError, match="nobody logs in to backend tokens"):
            daemon.call(method, identity="tokens", **more)
    with pytest.raises(InvalidParams):
        daemon.call("login.begin", identity="work", mode="telepathy")
    for seconds in (-1, 21, 1e15):
        with pytest.raises(InvalidParams):
            daemon.call("login.wait", login="x", seconds=seconds)


def test_a_session_names_the_login_that_its_secrets_need(
    daemon: Daemon, client: Client, stage: Stage, work: FolderIdentity
) -> None:
    daemon.world.grant("*")
    puppet = stage.enter()
    request = {"program": "/bin/true", "env": {"A": "made/key"}}
    assert puppet.call("session.open", **request)["logins"] == ["work"]
    with pytest.raises(LoginRequired):
        puppet.call("lease.acquire", secret="made/key")
    _log_in(client, work)
    assert puppet.call("session.open", **request)["logins"] == []
    assert puppet.call("lease.acquire", secret="made/key")["value"] == "key-of-made/key-by-a-token"


def test_a_logout_ends_the_leases_and_the_key_is_asked_for_afresh(
    daemon: Daemon, client: Client, stage: Stage, work: FolderIdentity
) -> None:
    daemon.world.grant("*")
    _log_in(client, work)
    puppet = stage.enter()
    puppet.call("session.open", program="/bin/true", env={"A": "made/key"})
    puppet.call("lease.acquire", secret="made/key")
    client.call("identity.logout", identity="work")
    with pytest.raises(LoginRequired):
        puppet.call("lease.acquire", secret="made/key")
    wait_until(lambda: daemon.call("lease.list")["leases"] == [])
    assert [method for method, _ in puppet.told()] == ["secret.rotated"]


_NOTIFY = """#!/bin/sh
printf '%s\\n' "$@" > "$HOME/told"
"""


@pytest.fixture
def desktop(world: World) -> Path:
    """Give the daemon a desktop; return where it then says what was shown."""
    folder = world.home / identity_daemon.DESKTOP
    folder.mkdir()
    program = folder / "notify-send"
    program.write_text(_NOTIFY)
    program.chmod(0o755)
    return world.home / "told"


@pytest.mark.usefixtures("desktop", "daemon")  # in that order: it looks as it starts
def test_a_person_at_a_desktop_is_told_that_a_login_is_due(
    desktop: Path, work: FolderIdentity
) -> None:
    work.stands(Standing("due", READY.issuer, READY.subject, 7200.0))
    wait_until(lambda: desktop.exists() and "brokerctl login work" in desktop.read_text())
    assert "work will need a login in" in desktop.read_text()
