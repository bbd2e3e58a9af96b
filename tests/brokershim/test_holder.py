"""Leases of a process: warm, renewed, revoked, reported, lost, and over a fork."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from brokershim.client import Client, Notify
from brokershim.errors import (
    BackendUnavailable,
    DaemonUnreachable,
    Denied,
    MalformedRequest,
    NotGranted,
    SecretNotFound,
)
from brokershim.holder import Holder
from tests.brokershim.conftest import KEY, NEW_KEY, Clock
from tests.support.fakebroker import Entry, FakeBroker

NAME = "openai/dev"


def test_second_use_costs_no_round_trip(holder: Holder, broker: FakeBroker) -> None:
    first = holder.get(NAME)
    assert first.value == KEY
    assert holder.get(NAME) is first
    assert holder.warm(NAME) is first
    assert broker.calls == [("lease.acquire", {"secret": NAME})]


def test_label_of_the_session_is_sent_along(
    holder: Holder, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_SESSION", "s-1")
    holder.get(NAME)
    assert broker.named("lease.acquire") == [{"secret": NAME, "session": "s-1"}]


def test_nothing_is_warm_before_it_was_leased(holder: Holder, broker: FakeBroker) -> None:
    assert holder.warm(NAME) is None
    assert broker.greeted == 0


def test_lease_is_renewed_when_a_third_of_its_life_is_left(
    holder: Holder, broker: FakeBroker, clock: Clock
) -> None:
    first = holder.get(NAME)
    clock.now += 199.9
    assert holder.get(NAME) is first
    clock.now += 0.1
    assert holder.warm(NAME) is None
    renewed = holder.get(NAME)
    assert broker.named("lease.renew") == [{"lease": "lease-1"}]
    assert (renewed.lease, renewed.deadline) == ("lease-1", clock.now + 300.0)
    assert holder.warm(NAME) is renewed


def test_life_counts_from_before_the_request(broker: FakeBroker, clock: Clock) -> None:
    def connect(notify: Notify) -> Client:
        clock.now += 40.0  # as long as the daemon may take
        return broker.connect(notify)

    holder = Holder(connect, clock)
    assert holder.get(NAME).deadline == 1300.0
    holder.close()


def test_lease_that_ended_is_acquired_anew(
    holder: Holder, broker: FakeBroker, clock: Clock
) -> None:
    holder.get(NAME)
    clock.now += 301.0
    broker.end_leases()
    assert holder.get(NAME).lease == "lease-2"
    assert [name for name, _ in broker.calls] == ["lease.acquire", "lease.renew", "lease.acquire"]


def test_renewal_that_finds_another_version_acquires_it(
    holder: Holder, broker: FakeBroker, clock: Clock
) -> None:
    holder.get(NAME)
    broker.secrets[NAME] = Entry(NEW_KEY, version="2")
    clock.now += 250.0
    assert holder.get(NAME).value == NEW_KEY


def test_lease_is_never_handed_out_under_its_floor(
    holder: Holder, broker: FakeBroker, clock: Clock
) -> None:
    broker.secrets[NAME] = Entry(KEY, life=100.0, floor=20.0)
    holder.get(NAME)
    broker.secrets[NAME] = Entry(KEY, life=10.0, floor=20.0)
    clock.now += 90.0
    with pytest.raises(BackendUnavailable, match="too short"):
        holder.get(NAME)
    broker.secrets[NAME] = Entry(KEY, life=20.0, floor=20.0)
    assert holder.get(NAME).may_begin(clock.now)


@pytest.mark.parametrize("method", ["lease.revoked", "secret.rotated"])
def test_lease_is_not_used_once_the_daemon_has_said_so(
    holder: Holder, broker: FakeBroker, method: str
) -> None:
    broker.secrets["anthropic/dev"] = Entry(KEY)
    holder.get(NAME)
    other = holder.get("anthropic/dev")
    broker.push(method, lease="lease-1", secret=NAME, reason="test")
    assert holder.warm(NAME) is None
    assert holder.warm("anthropic/dev") is other
    assert holder.get(NAME).lease == "lease-3"


def test_push_of_another_kind_changes_nothing(holder: Holder, broker: FakeBroker) -> None:
    first = holder.get(NAME)
    broker.push("of.the.future", lease="lease-1")
    assert holder.get(NAME) is first


def test_revocation_is_not_overtaken_by_another_reply(holder: Holder, broker: FakeBroker) -> None:
    broker.secrets["anthropic/dev"] = Entry(KEY)
    holder.get(NAME)
    broker.push("lease.revoked", lease="lease-1", secret=NAME, reason="test")
    holder.get("anthropic/dev")
    assert holder.warm(NAME) is None


def test_lost_connection_drops_every_lease_and_is_made_anew(
    holder: Holder, broker: FakeBroker
) -> None:
    broker.secrets["anthropic/dev"] = Entry(KEY)
    holder.get("anthropic/dev")
    holder.get(NAME)
    broker.restart()
    assert holder.warm(NAME) is None
    assert holder.get(NAME).lease == "lease-3"
    assert holder.warm("anthropic/dev") is None, "its revocation would not have reached us"
    assert broker.greeted == 2


class Stub(Client):
    """A connection whose next call ends badly."""

    def __init__(self, real: Client, error: BaseException) -> None:
        self.real, self.error = real, error
        self.called: list[str] = []

    def drain(self) -> None:
        """Find nothing."""

    def call(self, method: str, **_: Any) -> dict[str, Any]:
        self.called.append(method)
        raise self.error

    def close(self) -> None:
        self.real.close()


def fails_with(holder: Holder, error: BaseException) -> Stub:
    assert holder._client is not None
    holder._client = stub = Stub(holder._client, error)
    return stub


def test_connection_lost_during_a_call_is_made_anew_once(
    holder: Holder, broker: FakeBroker, clock: Clock
) -> None:
    holder.get(NAME)
    lost = fails_with(holder, DaemonUnreachable("gone"))
    clock.now += 250.0
    assert holder.get(NAME).value == KEY
    assert lost.called == ["lease.renew"]
    assert lost.real.fileno() == -1
    assert broker.greeted == 2


def test_connection_that_babbles_is_not_trusted_again(holder: Holder, broker: FakeBroker) -> None:
    holder.get(NAME)
    broker.push_raw(b"garbage\n")  # and who knows what was lost with it
    assert holder.get(NAME).lease == "lease-2"
    assert broker.greeted == 2


def test_daemon_that_is_gone_is_unreachable_until_it_is_back(
    holder: Holder, broker: FakeBroker
) -> None:
    holder.get(NAME)
    broker.close()
    for _ in range(2):
        with pytest.raises(DaemonUnreachable):
            holder.get(NAME)
    broker.restart()
    assert holder.get(NAME).value == KEY


def test_refusal_reaches_the_caller_and_nothing_is_kept(
    holder: Holder, broker: FakeBroker, clock: Clock
) -> None:
    with pytest.raises(SecretNotFound):
        holder.get("none/such")
    holder.get(NAME)
    clock.now += 250.0
    broker.refuse["lease.renew"] = NotGranted("not any more")
    broker.refuse["lease.acquire"] = NotGranted("not any more")
    for _ in range(2):
        with pytest.raises(Denied):
            holder.get(NAME)
    assert holder.warm(NAME) is None


def test_report_ends_the_lease_that_was_refused(holder: Holder, broker: FakeBroker) -> None:
    held = holder.get(NAME)
    assert holder.report(held, 401)
    assert broker.named("lease.report") == [{"lease": "lease-1", "status": 401}]
    assert holder.warm(NAME) is None


def test_late_answer_to_an_old_key_does_not_end_the_new_one(
    holder: Holder, broker: FakeBroker
) -> None:
    old = holder.get(NAME)
    holder.report(old, 401)
    fresh = holder.get(NAME)
    assert not holder.report(old, 401)
    assert holder.warm(NAME) is fresh
    assert len(broker.named("lease.report")) == 1


def test_answer_to_a_key_that_was_renewed_since_does_end_it(holder: Holder, clock: Clock) -> None:
    old = holder.get(NAME)
    clock.now += 250.0
    holder.get(NAME)
    assert holder.report(old, 403)
    assert holder.warm(NAME) is None


def test_report_of_a_lease_that_the_daemon_ended_is_no_error(
    holder: Holder, broker: FakeBroker
) -> None:
    held = holder.get(NAME)
    broker.end_leases()
    assert holder.report(held, 401)


def test_malformed_reply_is_refused_and_the_connection_not_trusted_again(
    holder: Holder, broker: FakeBroker
) -> None:
    holder.get(NAME)
    broker.refuse["lease.acquire"] = MalformedRequest("what?")
    with pytest.raises(MalformedRequest):
        holder.get("other/one")
    assert holder.warm(NAME) is None


def test_ctrl_c_during_a_call_gives_the_connection_up(holder: Holder) -> None:
    holder.get(NAME)
    stub = fails_with(holder, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        holder.get("other/one")
    assert stub.real.fileno() == -1
    assert holder.get(NAME).lease == "lease-2"


def test_twenty_threads_lease_once(holder: Holder, broker: FakeBroker) -> None:
    found = []
    threads = [threading.Thread(target=lambda: found.append(holder.get(NAME))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(lease) for lease in found}) == 1
    assert len(broker.named("lease.acquire")) == 1


def test_warm_does_not_wait_for_a_thread_that_waits_for_the_daemon(
    holder: Holder, broker: FakeBroker
) -> None:
    holder.get(NAME)
    broker.hold.clear()
    slow = threading.Thread(target=lambda: holder.get("openai/dev2"))
    broker.secrets["openai/dev2"] = Entry(KEY)
    slow.start()
    broker.wait_for("lease.acquire", 2)
    assert holder.warm(NAME) is None
    broker.hold.set()
    slow.join()
    assert holder.warm(NAME) is not None


def in_child(work: Callable[[], bool]) -> int:
    """Fork, and return the child's exit status: 0 where the work says True."""
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            status = 0 if work() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_forked_child_has_no_lease_and_leases_its_own(holder: Holder, broker: FakeBroker) -> None:
    first = holder.get(NAME)

    def child() -> bool:
        inherited = holder._client
        holder.forget_parent()
        assert inherited is not None
        closed = inherited.fileno() == -1
        return closed and holder.warm(NAME) is None and holder.get(NAME).lease == "lease-2"

    assert in_child(child) == 0
    assert holder.warm(NAME) is first, "the parent's connection lives on"
    assert broker.greeted == 2


def test_fork_while_another_thread_holds_the_lock_does_not_hang_the_child(
    holder: Holder, broker: FakeBroker
) -> None:
    holder.get(NAME)
    broker.secrets["slow/one"] = Entry(KEY)
    broker.hold.clear()
    slow = threading.Thread(target=lambda: holder.get("slow/one"))
    slow.start()
    broker.wait_for("lease.acquire", 2)

    def child() -> bool:
        holder.forget_parent()
        return holder.warm(NAME) is None and holder._lock.acquire(timeout=5)

    assert in_child(child) == 0
    broker.hold.set()
    slow.join()
