"""How does a session begin, what is written of it, and what ends it?"""

from __future__ import annotations

import hashlib
import os
import signal
import time

import pytest

from brokershim.errors import BrokerError, ProjectNotAllowed
from tests.support.daemon import Daemon, wait_until
from tests.support.puppet import Puppet, Stage
from tests.support.sessions import (
    PROGRAM,
    WITHIN,
    child_of,
    lease_of,
    leases_in,
    open_session,
    sessions_in,
    the_event,
)


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGHUP, "exit", "exit 3"]
)
def test_a_session_ends_with_its_root_within_a_second(
    daemon: Daemon, root: Puppet, how: signal.Signals | str
) -> None:
    session = open_session(root)
    child = child_of(root)
    held = {lease_of(root), lease_of(child)}
    began = time.monotonic()
    if isinstance(how, str):
        root.exit(3 if how == "exit 3" else 0)
    else:
        root.cut(how)
    wait_until(lambda: not held & set(leases_in(daemon)), WITHIN)
    assert session not in sessions_in(daemon)
    assert time.monotonic() - began < WITHIN
    event = the_event(daemon, "session.ended", session=session)
    assert event["reason"] == "its root process ended"
    assert event["root"] == root.pid
    # The root's own lease ended with its connection, a moment before; the child's with the session.
    reasons = {the_event(daemon, "lease.ended", lease=each)["reason"] for each in held}
    assert "session ended" in reasons
    assert reasons <= {"session ended", "holder's connection closed"}
    told = [each for each in child.told() if each[0] == "lease.revoked"]
    assert [each[1]["reason"] for each in told] == ["session ended"]


def test_a_zombie_root_is_a_dead_root(daemon: Daemon, root: Puppet) -> None:
    """Its parent need not wait for it."""
    child = root.fork()
    session = open_session(child)
    child.exit()
    wait_until(lambda: session not in sessions_in(daemon), WITHIN)
    assert os.path.exists(f"/proc/{child.pid}")


def test_a_stopped_root_is_not_a_dead_root(daemon: Daemon, root: Puppet) -> None:
    session = open_session(root)
    child = child_of(root)
    os.kill(root.pid, signal.SIGSTOP)
    try:
        assert lease_of(child)
        assert session in sessions_in(daemon)
    finally:
        os.kill(root.pid, signal.SIGCONT)


def test_what_was_launched_is_written_down(daemon: Daemon, root: Puppet) -> None:
    script = daemon.world.home / "app.py"
    script.write_text("print('hello')\n")
    session = open_session(root, script=str(script))
    event = the_event(daemon, "session.opened", session=session)
    assert event["program"] == PROGRAM
    assert event["script"] == str(script)
    assert event["script_sha256"] == hashlib.sha256(script.read_bytes()).hexdigest()
    assert event["folder"] == str(daemon.world.root)
    assert event["secrets"] == ["openai/dev"]
    assert (event["root"], event["project"]) == (root.pid, None)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "terminal", "endless"])
def test_a_script_that_cannot_be_read_has_no_hash_and_holds_nobody_up(
    daemon: Daemon, root: Puppet, kind: str
) -> None:
    path = daemon.world.home / f"script-{kind}"
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "terminal":
            path = type(path)("/dev/ptmx")
        case "endless":
            path = type(path)("/dev/zero")
        case _:
            pass
    session = open_session(root, script=str(path))
    assert the_event(daemon, "session.opened", session=session)["script_sha256"] is None


def test_one_session_with_long_paths_does_not_spoil_the_list(
    daemon: Daemon, root: Puppet, stage: Stage
) -> None:
    folder = os.fsencode(daemon.world.root)
    for _ in range(14):  # 250 bytes each, none of them text
        folder += b"/" + b"\xff" * 250
        os.mkdir(folder)
    root.do(
        "folder = os.fsencode(given['root'])\n"
        "for n in range(14):\n"
        "    folder += b'/' + b'\\xff' * 250\n"
        "    os.chdir(folder)",
        root=str(daemon.world.root),
    )
    env = {f"V{n}": "openai/dev" for n in range(64)}
    long = "/" + "\x01" * 4000
    reply = root.call("session.open", program=long, script=long, env=env)
    others = [stage.enter() for _ in range(3)]
    opened = {reply["session"], *(open_session(each) for each in others)}
    assert opened <= set(sessions_in(daemon))


def test_a_project_has_to_be_allowed_and_again_when_it_changes(
    daemon: Daemon, root: Puppet
) -> None:
    path = daemon.world.project("app", OPENAI_API_KEY="openai/other")
    with pytest.raises(ProjectNotAllowed, match="is new") as refused:
        root.call("session.open", program=PROGRAM, env={}, project=str(path))
    assert refused.value.details["state"] == "new"
    assert refused.value.details["env"] == {"OPENAI_API_KEY": "openai/other"}
    sha256 = refused.value.details["sha256"]
    daemon.call("project.allow", path=str(path), sha256=sha256)
    reply = root.call("session.open", program=PROGRAM, env={}, project=str(path))
    assert reply["pending"] == []
    assert root.call("lease.acquire", secret="openai/other")["value"] == "sk-other"
    path.write_text('OPENAI_API_KEY = "openai/other"\n# changed\n')
    with pytest.raises(ProjectNotAllowed, match="has changed"):
        root.call("session.open", program=PROGRAM, env={}, project=str(path))
    with pytest.raises(ProjectNotAllowed, match="changed while"):
        daemon.call("project.allow", path=str(path), sha256=sha256)


def test_a_projects_grant_is_not_for_sessions_without_it(daemon: Daemon, root: Puppet) -> None:
    path = daemon.world.project("mine", OPENAI_API_KEY="openai/other")
    shown = daemon.call("project.show", path=str(path))
    daemon.call("project.allow", path=str(path), sha256=shown["sha256"])
    root.do("os.chdir(given['folder'])", folder=str(path.parent))
    reply = root.call("session.open", program=PROGRAM, env={"A": "openai/other"})
    assert reply["pending"] == ["openai/other"]
    with pytest.raises(BrokerError):
        root.call("lease.acquire", secret="openai/other")
