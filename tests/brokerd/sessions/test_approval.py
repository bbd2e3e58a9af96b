"""Who can say yes?"""

from __future__ import annotations

import pytest

from brokershim.errors import ApprovalRequired, InvalidParams, NotFound, NotGranted
from tests.support.daemon import Daemon
from tests.support.puppet import Puppet, Stage
from tests.support.sessions import PROGRAM, child_of, open_session, the_event


def _at_a_terminal(root: Puppet) -> Puppet:
    found = root.fork_in_terminal()
    assert found.get("os.isatty(0)")
    return found


def test_a_person_at_the_terminal_can_approve(daemon: Daemon, root: Puppet) -> None:
    person = _at_a_terminal(root)
    reply = person.call("session.open", program=PROGRAM, env={"A": "openai/asks"})
    assert reply["pending"] == ["openai/asks"]
    with pytest.raises(ApprovalRequired):
        person.call("lease.acquire", secret="openai/asks")
    person.call("session.approve", session=reply["session"], secrets=["openai/asks"])
    assert person.call("lease.acquire", secret="openai/asks")["value"] == "sk-asks"
    event = the_event(daemon, "session.approved", session=reply["session"])
    assert event["secrets"] == ["openai/asks"]


def test_a_yes_is_for_one_session_and_one_secret(root: Puppet) -> None:
    person = _at_a_terminal(root)
    first = open_session(person, "openai/asks", "openai/other")
    person.call("session.approve", session=first, secrets=["openai/asks"])
    with pytest.raises(NotGranted):
        person.call("lease.acquire", secret="openai/other")
    open_session(person, "openai/asks")
    with pytest.raises(ApprovalRequired):
        person.call("lease.acquire", secret="openai/asks")


def test_without_a_terminal_nobody_can_approve(root: Puppet) -> None:
    session = open_session(root, "openai/asks")
    with pytest.raises(ApprovalRequired, match="no terminal"):
        root.call("session.approve", session=session, secrets=["openai/asks"])
    with pytest.raises(ApprovalRequired):
        root.call("lease.acquire", secret="openai/asks")


def test_in_the_background_nobody_can_approve(root: Puppet) -> None:
    shell = _at_a_terminal(root)
    job = shell.fork()
    job.do("os.setpgid(0, 0)")
    session = open_session(job, "openai/asks")
    with pytest.raises(ApprovalRequired, match="no terminal"):
        job.call("session.approve", session=session, secrets=["openai/asks"])


def _approve_on_another_connection(person: Puppet, session: str) -> None:
    person.do("kept = client(); other = Client()")
    what = {"session": session, "secrets": ["openai/asks"]}
    person.get("other.call('session.approve', **given)", **what)


def test_only_the_connection_that_opened_it_can_approve(root: Puppet, stage: Stage) -> None:
    person, stranger = _at_a_terminal(root), _at_a_terminal(stage.enter())
    session = open_session(person, "openai/asks")
    for other in (stranger, child_of(person)):
        with pytest.raises(NotFound, match="opened no such session"):
            other.call("session.approve", session=session, secrets=["openai/asks"])
    with pytest.raises(NotFound, match="opened no such session"):
        _approve_on_another_connection(person, session)
    with pytest.raises(ApprovalRequired):
        person.call("lease.acquire", secret="openai/asks")


def test_what_was_not_asked_for_cannot_be_approved(root: Puppet) -> None:
    person = _at_a_terminal(root)
    session = open_session(person, "openai/asks")
    for secrets in (["openai/other"], ["openai/asks", "openai/dev"], ["openai/none"]):
        with pytest.raises(InvalidParams, match="does not wait for approval"):
            person.call("session.approve", session=session, secrets=secrets)
    with pytest.raises(ApprovalRequired):
        person.call("lease.acquire", secret="openai/asks")
