"""Who is inside a session, as the kernel shows it?"""

from __future__ import annotations

import os

import pytest

from brokershim.errors import NoSession, NotGranted, Orphan
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


def test_the_root_and_all_below_it_are_inside(daemon: Daemon, root: Puppet) -> None:
    session = open_session(root)
    child = child_of(root)
    grandchild = child_of(child)
    for each in (root, child, grandchild):
        reply = each.call("lease.acquire", secret="openai/dev")
        assert reply["value"] == "sk-of-the-tests"
        event = the_event(daemon, "lease.acquired", lease=reply["lease"])
        assert (event["pid"], event["session"]) == (each.pid, session)
        assert event["executable"] == os.readlink(f"/proc/{each.pid}/exe")


def test_what_the_root_goes_on_to_execute_is_inside(root: Puppet) -> None:
    open_session(root)
    executed = root.execute_itself()
    assert executed.pid == root.pid
    assert lease_of(executed)


def test_who_is_in_no_session_gets_nothing(daemon: Daemon, root: Puppet, stage: Stage) -> None:
    open_session(root)
    outsider = stage.enter()
    with pytest.raises(NoSession, match="in no session"):
        outsider.call("lease.acquire", secret="openai/dev")
    event = daemon.world.events("request.refused")[-1]
    assert event["kind"] == NoSession.kind
    assert event["pid"] == outsider.pid
    assert event["secret"] == "openai/dev"


def test_the_parent_of_a_root_is_outside(root: Puppet) -> None:
    child = root.fork()
    open_session(child)
    with pytest.raises(NoSession):
        root.call("lease.acquire", secret="openai/dev")


def test_an_orphan_is_outside_and_told_so(daemon: Daemon, root: Puppet) -> None:
    session = open_session(root)
    middle = root.fork()
    orphan = child_of(middle)
    middle.exit()
    root.do("os.wait()")
    with pytest.raises(Orphan, match=f"outside session {session}") as refused:
        orphan.call("lease.acquire", secret="openai/dev", session=session)
    assert str(root.pid) in refused.value.message
    assert "parent process alive" in refused.value.hint
    assert daemon.world.events("request.refused")[-1]["kind"] == Orphan.kind


def test_a_lease_that_an_orphan_still_holds_is_not_renewed(root: Puppet) -> None:
    open_session(root)
    middle = root.fork()
    orphan = child_of(middle)
    lease = lease_of(orphan)
    middle.exit()
    root.do("os.wait()")
    with pytest.raises(Orphan):
        orphan.call("lease.renew", lease=lease)


def test_a_root_that_adopts_orphans_keeps_them_inside(root: Puppet) -> None:
    open_session(root)
    root.do("import ctypes; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)")  # PR_SET_CHILD_SUBREAPER
    middle = root.fork()
    orphan = child_of(middle)
    middle.exit()
    assert lease_of(orphan)


def test_the_sessions_environment_is_worth_nothing_outside(root: Puppet, stage: Stage) -> None:
    session = open_session(root)
    thief = stage.enter(BROKER_SESSION=session, KEY_0="brokerref:openai/dev")
    with pytest.raises(Orphan):
        thief.call("lease.acquire", secret="openai/dev", session=session)


def test_a_process_of_an_ended_session_is_told_that_it_has_ended(root: Puppet) -> None:
    session = open_session(root)
    child = child_of(root)
    root.cut()
    with pytest.raises(NoSession, match="has ended") as refused:
        child.call("lease.acquire", secret="openai/dev", session=session)
    assert "brokerctl run" in refused.value.hint


def test_the_innermost_session_counts(root: Puppet) -> None:
    open_session(root, "openai/dev", "openai/asks")
    inner_root = child_of(root)
    inner = open_session(inner_root, "openai/dev")
    inside = child_of(inner_root)
    assert inner_root.call("lease.acquire", secret="openai/dev")["lease"]
    with pytest.raises(NotGranted, match=f"session {inner} was not opened for"):
        inside.call("lease.acquire", secret="openai/asks")
    assert lease_of(root)


def test_an_inner_session_ends_without_the_outer(daemon: Daemon, root: Puppet) -> None:
    outer = open_session(root)
    kept = lease_of(root)
    inner_root = child_of(root)
    inner = open_session(inner_root)
    lost = lease_of(inner_root)
    inner_root.cut()
    wait_until(lambda: inner not in sessions_in(daemon), WITHIN)
    assert outer in sessions_in(daemon)
    assert kept in leases_in(daemon)
    assert lost not in leases_in(daemon)


def test_a_process_that_opens_another_session_ends_its_first(daemon: Daemon, root: Puppet) -> None:
    first = open_session(root)
    lease = lease_of(root)
    second = open_session(root)
    assert first not in sessions_in(daemon)
    assert second in sessions_in(daemon)
    assert lease not in leases_in(daemon)
    assert the_event(daemon, "session.ended", session=first)["reason"] == (
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
    what = {"program": PROGRAM, "env": {"A": "openai/dev"}}
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
