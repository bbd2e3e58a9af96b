"""What may a session lease, and whose is a lease?"""

from __future__ import annotations

import pytest

from brokershim.errors import LeaseNotFound, NotGranted, SecretNotFound
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


def test_a_session_leases_only_what_it_was_opened_for(root: Puppet) -> None:
    session = open_session(root, "openai/asks")
    with pytest.raises(NotGranted, match=f"session {session} was not opened for openai/dev"):
        root.call("lease.acquire", secret="openai/dev")


def test_what_no_grant_covers_is_pending_and_refused(root: Puppet) -> None:
    reply = root.call("session.open", program=PROGRAM, env={"A": "openai/other"})
    assert reply["pending"] == ["openai/other"]
    with pytest.raises(NotGranted):
        root.call("lease.acquire", secret="openai/other")


def test_a_secret_that_is_not_there_opens_no_session(daemon: Daemon, root: Puppet) -> None:
    before = sessions_in(daemon)
    with pytest.raises(SecretNotFound, match="openai/none"):
        root.call("session.open", program=PROGRAM, env={"A": "openai/dev", "B": "openai/none"})
    assert sessions_in(daemon) == before


def test_a_stranger_can_do_nothing_with_anothers_lease(
    daemon: Daemon, root: Puppet, stage: Stage
) -> None:
    open_session(root)
    lease = lease_of(root)
    neighbour, stranger = child_of(root), stage.enter()
    for each in (neighbour, stranger):
        for method, more in (
            ("lease.renew", {}),
            ("lease.release", {}),
            ("lease.report", {"status": 401}),
        ):
            with pytest.raises(LeaseNotFound):
                each.call(method, lease=lease, **more)
    assert lease in leases_in(daemon)
    assert root.call("lease.renew", lease=lease)["lease"] == lease


def test_a_lease_ends_with_the_connection_that_holds_it(daemon: Daemon, root: Puppet) -> None:
    session = open_session(root)
    lease = lease_of(root)
    root.do("hang_up()")
    wait_until(lambda: lease not in leases_in(daemon), WITHIN)
    assert session in sessions_in(daemon)
    event = the_event(daemon, "lease.ended", lease=lease)
    assert event["reason"] == "holder's connection closed"
    assert event["bounded_by"] == "broker"
    assert lease_of(root) != lease


def test_a_released_lease_is_gone_and_nobody_is_told(daemon: Daemon, root: Puppet) -> None:
    open_session(root)
    lease = lease_of(root)
    assert root.call("lease.release", lease=lease) == {}
    with pytest.raises(LeaseNotFound):
        root.call("lease.renew", lease=lease)
    assert the_event(daemon, "lease.ended", lease=lease)["reason"] == "released"
    assert root.told() == []


def test_a_reported_lease_is_gone(daemon: Daemon, root: Puppet) -> None:
    open_session(root)
    lease = lease_of(root)
    assert root.call("lease.report", lease=lease, status=401) == {}
    assert the_event(daemon, "lease.ended", lease=lease)["reason"] == "rejected by the provider"
    assert lease_of(root) != lease
