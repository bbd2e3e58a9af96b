"""Sessions as the kernel shows them: who is inside, who is not, and what ends them."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from brokershim.errors import (
    ApprovalRequired,
    BrokerError,
    InvalidParams,
    LeaseNotFound,
    NoSession,
    NotFound,
    NotGranted,
    Orphan,
    ProjectNotAllowed,
    SecretNotFound,
)
from tests.support.daemon import Daemon, new_world, started, wait_until
from tests.support.puppet import Puppet, Stage

_WITHIN = 1.0  # seconds, says the issue
_PROGRAM = "/usr/bin/env"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """Run one daemon for all of this; each test has sessions of its own in it."""
    with new_world() as world, started(world) as running:
        running.set_secret("openai/dev")
        running.set_secret("openai/asks", "sk-asks")
        running.set_secret("openai/other", "sk-other")
        text = '[[grant]]\nunsafe_any_session = true\nsecrets = ["openai/dev"]\n'
        asks = '[[grant]]\nfolder = "/"\nsecrets = ["openai/asks"]\napproval = "session"\n'
        world.write_config("policy.toml", text + asks)
        yield running


@pytest.fixture
def stage(daemon: Daemon) -> Iterator[Stage]:
    with Stage(daemon.world) as made:
        yield made


@pytest.fixture
def root(stage: Stage) -> Puppet:
    return stage.enter()


def _open(puppet: Puppet, *secrets: str, **more: Any) -> str:
    """Make a puppet the root of a session, and return its label."""
    env = {f"KEY_{n}": name for n, name in enumerate(secrets or ("openai/dev",))}
    return str(puppet.call("session.open", program=_PROGRAM, env=env, **more)["session"])


def _child(parent: Puppet) -> Puppet:
    """Return a child with a connection of its own."""
    child = parent.fork()
    child.do("hang_up()")
    return child


def _lease(puppet: Puppet, secret: str = "openai/dev", **more: Any) -> str:
    return str(puppet.call("lease.acquire", secret=secret, **more)["lease"])


def _leases(daemon: Daemon) -> list[str]:
    return [each["lease"] for each in daemon.call("lease.list")["leases"]]


def _sessions(daemon: Daemon) -> list[str]:
    return [each["session"] for each in daemon.call("session.list")["sessions"]]


def _event(daemon: Daemon, name: str, **facts: Any) -> dict[str, Any]:
    """Return the one event of that name with those facts, once it is written."""

    def found() -> list[dict[str, Any]]:
        return [each for each in daemon.world.events(name) if facts.items() <= each.items()]

    wait_until(lambda: found() != [])
    assert len(found()) == 1
    return found()[0]


# Who is inside.


def test_the_root_and_all_below_it_are_inside(daemon: Daemon, root: Puppet) -> None:
    session = _open(root)
    child = _child(root)
    grandchild = _child(child)
    for each in (root, child, grandchild):
        reply = each.call("lease.acquire", secret="openai/dev")
        assert reply["value"] == "sk-of-the-tests"
        event = _event(daemon, "lease.acquired", lease=reply["lease"])
        assert (event["pid"], event["session"]) == (each.pid, session)
        assert event["executable"] == os.readlink(f"/proc/{each.pid}/exe")


def test_what_the_root_goes_on_to_execute_is_inside(root: Puppet) -> None:
    _open(root)
    executed = root.execute_itself()
    assert executed.pid == root.pid
    assert _lease(executed)


def test_who_is_in_no_session_gets_nothing(daemon: Daemon, root: Puppet, stage: Stage) -> None:
    _open(root)
    outsider = stage.enter()
    with pytest.raises(NoSession, match="in no session"):
        outsider.call("lease.acquire", secret="openai/dev")
    event = daemon.world.events("request.refused")[-1]
    assert event["kind"] == NoSession.kind
    assert event["pid"] == outsider.pid
    assert event["secret"] == "openai/dev"


def test_the_parent_of_a_root_is_outside(root: Puppet) -> None:
    child = root.fork()
    _open(child)
    with pytest.raises(NoSession):
        root.call("lease.acquire", secret="openai/dev")


def test_an_orphan_is_outside_and_told_so(daemon: Daemon, root: Puppet) -> None:
    session = _open(root)
    middle = root.fork()
    orphan = _child(middle)
    middle.exit()
    root.do("os.wait()")
    with pytest.raises(Orphan, match=f"outside session {session}") as refused:
        orphan.call("lease.acquire", secret="openai/dev", session=session)
    assert str(root.pid) in refused.value.message
    assert "parent process alive" in refused.value.hint
    assert daemon.world.events("request.refused")[-1]["kind"] == Orphan.kind


def test_a_lease_that_an_orphan_still_holds_is_not_renewed(root: Puppet) -> None:
    _open(root)
    middle = root.fork()
    orphan = _child(middle)
    lease = _lease(orphan)
    middle.exit()
    root.do("os.wait()")
    with pytest.raises(Orphan):
        orphan.call("lease.renew", lease=lease)


def test_a_root_that_adopts_orphans_keeps_them_inside(root: Puppet) -> None:
    _open(root)
    root.do("import ctypes; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)")  # PR_SET_CHILD_SUBREAPER
    middle = root.fork()
    orphan = _child(middle)
    middle.exit()
    assert _lease(orphan)


def test_the_sessions_environment_is_worth_nothing_outside(root: Puppet, stage: Stage) -> None:
    session = _open(root)
    thief = stage.enter(BROKER_SESSION=session, KEY_0="brokerref:openai/dev")
    with pytest.raises(Orphan):
        thief.call("lease.acquire", secret="openai/dev", session=session)


def test_a_process_of_an_ended_session_is_told_that_it_has_ended(root: Puppet) -> None:
    session = _open(root)
    child = _child(root)
    root.cut()
    with pytest.raises(NoSession, match="has ended") as refused:
        child.call("lease.acquire", secret="openai/dev", session=session)
    assert "brokerctl run" in refused.value.hint


# Sessions in sessions.


def test_the_innermost_session_counts(root: Puppet) -> None:
    _open(root, "openai/dev", "openai/asks")
    inner_root = _child(root)
    inner = _open(inner_root, "openai/dev")
    inside = _child(inner_root)
    assert inner_root.call("lease.acquire", secret="openai/dev")["lease"]
    with pytest.raises(NotGranted, match=f"session {inner} was not opened for"):
        inside.call("lease.acquire", secret="openai/asks")
    assert _lease(root)


def test_an_inner_session_ends_without_the_outer(daemon: Daemon, root: Puppet) -> None:
    outer = _open(root)
    kept = _lease(root)
    inner_root = _child(root)
    inner = _open(inner_root)
    lost = _lease(inner_root)
    inner_root.cut()
    wait_until(lambda: inner not in _sessions(daemon), _WITHIN)
    assert outer in _sessions(daemon)
    assert kept in _leases(daemon)
    assert lost not in _leases(daemon)


def test_a_process_that_opens_another_session_ends_its_first(daemon: Daemon, root: Puppet) -> None:
    first = _open(root)
    lease = _lease(root)
    second = _open(root)
    assert first not in _sessions(daemon)
    assert second in _sessions(daemon)
    assert lease not in _leases(daemon)
    assert _event(daemon, "session.ended", session=first)["reason"] == (
        "its root opened another session"
    )
    assert [
        "lease.revoked",
        {"lease": lease, "secret": "openai/dev", "reason": "session ended"},
    ] in (root.told())


_OPEN_THREE = """
from brokershim import wire
hello = wire.Request(0, "hello", {"protocol": 1})
opening = [wire.Request(n, "session.open", given["what"]) for n in (1, 2, 3)]
s = socket.socket(socket.AF_UNIX)
s.connect(given["path"])
s.sendall(b"".join(map(wire.encode_request, [hello, *opening])))
lines = s.makefile("rb")
replies = [wire.decode(lines.readline()) for _ in range(4)]
"""


def test_openings_at_once_leave_one_session(daemon: Daemon, root: Puppet) -> None:
    """Each waits for the audit when the next one comes: all but one have to give way."""
    what = {"program": _PROGRAM, "env": {"A": "openai/dev"}}
    root.do(_OPEN_THREE, path=daemon.world.socket, what=what)
    replies = root.get("replies")[1:]
    opened = [each["result"]["session"] for each in replies if "result" in each]
    lost = [each["error"]["data"]["kind"] for each in replies if "error" in each]
    rows = daemon.call("session.list")["sessions"]
    mine = [each["session"] for each in rows if each["root"] == root.pid]
    assert len(mine) == 1
    assert mine[0] in opened
    assert set(lost) <= {NoSession.kind}
    assert len(daemon.world.events("session.opened")) >= len(opened)


# What a session may lease.


def test_a_session_leases_only_what_it_was_opened_for(root: Puppet) -> None:
    session = _open(root, "openai/asks")
    with pytest.raises(NotGranted, match=f"session {session} was not opened for openai/dev"):
        root.call("lease.acquire", secret="openai/dev")


def test_what_no_grant_covers_is_pending_and_refused(root: Puppet) -> None:
    reply = root.call("session.open", program=_PROGRAM, env={"A": "openai/other"})
    assert reply["pending"] == ["openai/other"]
    with pytest.raises(NotGranted):
        root.call("lease.acquire", secret="openai/other")


def test_a_secret_that_is_not_there_opens_no_session(daemon: Daemon, root: Puppet) -> None:
    before = _sessions(daemon)
    with pytest.raises(SecretNotFound, match="openai/none"):
        root.call("session.open", program=_PROGRAM, env={"A": "openai/dev", "B": "openai/none"})
    assert _sessions(daemon) == before


def test_a_stranger_can_do_nothing_with_anothers_lease(
    daemon: Daemon, root: Puppet, stage: Stage
) -> None:
    _open(root)
    lease = _lease(root)
    neighbour, stranger = _child(root), stage.enter()
    for each in (neighbour, stranger):
        for method, more in (
            ("lease.renew", {}),
            ("lease.release", {}),
            ("lease.report", {"status": 401}),
        ):
            with pytest.raises(LeaseNotFound):
                each.call(method, lease=lease, **more)
    assert lease in _leases(daemon)
    assert root.call("lease.renew", lease=lease)["lease"] == lease


def test_a_lease_ends_with_the_connection_that_holds_it(daemon: Daemon, root: Puppet) -> None:
    session = _open(root)
    lease = _lease(root)
    root.do("hang_up()")
    wait_until(lambda: lease not in _leases(daemon), _WITHIN)
    assert session in _sessions(daemon)
    event = _event(daemon, "lease.ended", lease=lease)
    assert event["reason"] == "holder's connection closed"
    assert event["bounded_by"] == "broker"
    assert _lease(root) != lease


def test_a_released_lease_is_gone_and_nobody_is_told(daemon: Daemon, root: Puppet) -> None:
    _open(root)
    lease = _lease(root)
    assert root.call("lease.release", lease=lease) == {}
    with pytest.raises(LeaseNotFound):
        root.call("lease.renew", lease=lease)
    assert _event(daemon, "lease.ended", lease=lease)["reason"] == "released"
    assert root.told() == []


def test_a_reported_lease_is_gone(daemon: Daemon, root: Puppet) -> None:
    _open(root)
    lease = _lease(root)
    assert root.call("lease.report", lease=lease, status=401) == {}
    assert _event(daemon, "lease.ended", lease=lease)["reason"] == "rejected by the provider"
    assert _lease(root) != lease


# Approval.


def _at_a_terminal(root: Puppet) -> Puppet:
    found = root.fork_in_terminal()
    assert found.get("os.isatty(0)")
    return found


def test_a_person_at_the_terminal_can_approve(daemon: Daemon, root: Puppet) -> None:
    person = _at_a_terminal(root)
    reply = person.call("session.open", program=_PROGRAM, env={"A": "openai/asks"})
    assert reply["pending"] == ["openai/asks"]
    with pytest.raises(ApprovalRequired):
        person.call("lease.acquire", secret="openai/asks")
    person.call("session.approve", session=reply["session"], secrets=["openai/asks"])
    assert person.call("lease.acquire", secret="openai/asks")["value"] == "sk-asks"
    event = _event(daemon, "session.approved", session=reply["session"])
    assert event["secrets"] == ["openai/asks"]


def test_a_yes_is_for_one_session_and_one_secret(root: Puppet) -> None:
    person = _at_a_terminal(root)
    first = _open(person, "openai/asks", "openai/other")
    person.call("session.approve", session=first, secrets=["openai/asks"])
    with pytest.raises(NotGranted):
        person.call("lease.acquire", secret="openai/other")
    _open(person, "openai/asks")
    with pytest.raises(ApprovalRequired):
        person.call("lease.acquire", secret="openai/asks")


def test_without_a_terminal_nobody_can_approve(root: Puppet) -> None:
    session = _open(root, "openai/asks")
    with pytest.raises(ApprovalRequired, match="no terminal"):
        root.call("session.approve", session=session, secrets=["openai/asks"])
    with pytest.raises(ApprovalRequired):
        root.call("lease.acquire", secret="openai/asks")


def test_in_the_background_nobody_can_approve(root: Puppet) -> None:
    shell = _at_a_terminal(root)
    job = shell.fork()
    job.do("os.setpgid(0, 0)")
    session = _open(job, "openai/asks")
    with pytest.raises(ApprovalRequired, match="no terminal"):
        job.call("session.approve", session=session, secrets=["openai/asks"])


def _approve_on_another_connection(person: Puppet, session: str) -> None:
    person.do("kept = client(); other = Client()")
    what = {"session": session, "secrets": ["openai/asks"]}
    person.get("other.call('session.approve', **given)", **what)


def test_only_the_connection_that_opened_it_can_approve(root: Puppet, stage: Stage) -> None:
    person, stranger = _at_a_terminal(root), _at_a_terminal(stage.enter())
    session = _open(person, "openai/asks")
    for other in (stranger, _child(person)):
        with pytest.raises(NotFound, match="opened no such session"):
            other.call("session.approve", session=session, secrets=["openai/asks"])
    with pytest.raises(NotFound, match="opened no such session"):
        _approve_on_another_connection(person, session)
    with pytest.raises(ApprovalRequired):
        person.call("lease.acquire", secret="openai/asks")


def test_what_was_not_asked_for_cannot_be_approved(root: Puppet) -> None:
    person = _at_a_terminal(root)
    session = _open(person, "openai/asks")
    for secrets in (["openai/other"], ["openai/asks", "openai/dev"], ["openai/none"]):
        with pytest.raises(InvalidParams, match="does not wait for approval"):
            person.call("session.approve", session=session, secrets=secrets)
    with pytest.raises(ApprovalRequired):
        person.call("lease.acquire", secret="openai/asks")


# The end.


@pytest.mark.parametrize(
    "how", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGHUP, "exit", "exit 3"]
)
def test_a_session_ends_with_its_root_within_a_second(
    daemon: Daemon, root: Puppet, how: signal.Signals | str
) -> None:
    session = _open(root)
    child = _child(root)
    held = {_lease(root), _lease(child)}
    began = time.monotonic()
    if isinstance(how, str):
        root.exit(3 if how == "exit 3" else 0)
    else:
        root.cut(how)
    wait_until(lambda: not held & set(_leases(daemon)), _WITHIN)
    assert session not in _sessions(daemon)
    assert time.monotonic() - began < _WITHIN
    event = _event(daemon, "session.ended", session=session)
    assert event["reason"] == "its root process ended"
    assert event["root"] == root.pid
    # The root's own lease ended with its connection, a moment before; the child's with the session.
    reasons = {_event(daemon, "lease.ended", lease=each)["reason"] for each in held}
    assert "session ended" in reasons
    assert reasons <= {"session ended", "holder's connection closed"}
    told = [each for each in child.told() if each[0] == "lease.revoked"]
    assert [each[1]["reason"] for each in told] == ["session ended"]


def test_a_zombie_root_is_a_dead_root(daemon: Daemon, root: Puppet) -> None:
    """Its parent need not wait for it."""
    child = root.fork()
    session = _open(child)
    child.exit()
    wait_until(lambda: session not in _sessions(daemon), _WITHIN)
    assert os.path.exists(f"/proc/{child.pid}")


def test_a_stopped_root_is_not_a_dead_root(daemon: Daemon, root: Puppet) -> None:
    session = _open(root)
    child = _child(root)
    os.kill(root.pid, signal.SIGSTOP)
    try:
        assert _lease(child)
        assert session in _sessions(daemon)
    finally:
        os.kill(root.pid, signal.SIGCONT)


# What is written and shown of a session.


def test_what_was_launched_is_written_down(daemon: Daemon, root: Puppet) -> None:
    script = daemon.world.home / "app.py"
    script.write_text("print('hello')\n")
    session = _open(root, script=str(script))
    event = _event(daemon, "session.opened", session=session)
    assert event["program"] == _PROGRAM
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
    session = _open(root, script=str(path))
    assert _event(daemon, "session.opened", session=session)["script_sha256"] is None


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
    opened = {reply["session"], *(_open(each) for each in others)}
    assert opened <= set(_sessions(daemon))


def test_a_project_has_to_be_allowed_and_again_when_it_changes(
    daemon: Daemon, root: Puppet
) -> None:
    path = daemon.world.project("app", OPENAI_API_KEY="openai/other")
    with pytest.raises(ProjectNotAllowed, match="is new") as refused:
        root.call("session.open", program=_PROGRAM, env={}, project=str(path))
    assert refused.value.details["state"] == "new"
    assert refused.value.details["env"] == {"OPENAI_API_KEY": "openai/other"}
    sha256 = refused.value.details["sha256"]
    daemon.call("project.allow", path=str(path), sha256=sha256)
    reply = root.call("session.open", program=_PROGRAM, env={}, project=str(path))
    assert reply["pending"] == []
    assert root.call("lease.acquire", secret="openai/other")["value"] == "sk-other"
    path.write_text('OPENAI_API_KEY = "openai/other"\n# changed\n')
    with pytest.raises(ProjectNotAllowed, match="has changed"):
        root.call("session.open", program=_PROGRAM, env={}, project=str(path))
    with pytest.raises(ProjectNotAllowed, match="changed while"):
        daemon.call("project.allow", path=str(path), sha256=sha256)


def test_a_projects_grant_is_not_for_sessions_without_it(daemon: Daemon, root: Puppet) -> None:
    path = daemon.world.project("mine", OPENAI_API_KEY="openai/other")
    shown = daemon.call("project.show", path=str(path))
    daemon.call("project.allow", path=str(path), sha256=shown["sha256"])
    root.do("os.chdir(given['folder'])", folder=str(path.parent))
    reply = root.call("session.open", program=_PROGRAM, env={"A": "openai/other"})
    assert reply["pending"] == ["openai/other"]
    with pytest.raises(BrokerError):
        root.call("lease.acquire", secret="openai/other")
