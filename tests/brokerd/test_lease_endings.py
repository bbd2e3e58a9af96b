"""What ends a lease, who hears of it, and what the audit says of it."""

from __future__ import annotations

from typing import Any

import pytest

from brokershim.errors import BrokerError, LeaseNotFound, Locked, SecretNotFound
from tests.support.daemon import PASSPHRASE, Daemon, wait_until
from tests.support.puppet import Puppet, Stage


@pytest.fixture
def holder(daemon: Daemon, stage: Stage) -> Puppet:
    """Return the root of a session that may lease openai/dev."""
    daemon.world.grant("openai/dev")
    puppet = stage.enter()
    puppet.call("session.open", program="/bin/true", env={"A": "openai/dev"})
    return puppet


def _ended(daemon: Daemon, lease: str) -> str:
    def found() -> list[str]:
        events = daemon.world.events("lease.ended")
        return [each["reason"] for each in events if each["lease"] == lease]

    wait_until(lambda: found() != [])
    assert len(found()) == 1
    return found()[0]


def _told(puppet: Puppet, lease: str) -> list[str]:
    return [method for method, params in puppet.told() if params["lease"] == lease]


_CHANGES: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "a new value": (
        "secret.set",
        {"name": "openai/dev", "value": "sk-new"},
        "secret rotated",
        "secret.rotated",
    ),
    "other hosts": (
        "secret.set",
        {"name": "openai/dev", "hosts": ["example.com"]},
        "secret rotated",
        "secret.rotated",
    ),
    "an older value": (
        "secret.rollback",
        {"name": "openai/dev"},
        "secret rotated",
        "secret.rotated",
    ),
    "its removal": ("secret.remove", {"name": "openai/dev"}, "secret removed", "lease.revoked"),
    "the lock": ("store.lock", {}, "store locked", "lease.revoked"),
}


@pytest.mark.parametrize("what", _CHANGES)
def test_a_change_of_the_secret_ends_its_leases_and_tells_their_holders(
    daemon: Daemon, holder: Puppet, what: str
) -> None:
    daemon.set_secret("openai/dev", "sk-second")
    daemon.set_secret("openai/other")
    lease = str(holder.call("lease.acquire", secret="openai/dev")["lease"])
    daemon.set_secret("openai/other", "sk-unrelated")
    assert holder.told() == []
    method, params, reason, notification = _CHANGES[what]
    daemon.call(method, **params)
    assert _ended(daemon, lease) == reason
    assert _told(holder, lease) == [notification]
    with pytest.raises(LeaseNotFound):
        holder.call("lease.renew", lease=lease)


def test_after_a_rotation_the_new_value_is_leased(daemon: Daemon, holder: Puppet) -> None:
    assert holder.call("lease.acquire", secret="openai/dev")["version"] == "1"
    daemon.call("secret.set", name="openai/dev", value="sk-new")
    reply = holder.call("lease.acquire", secret="openai/dev")
    assert (reply["value"], reply["version"]) == ("sk-new", "2")


def test_after_a_removal_there_is_nothing_to_lease(daemon: Daemon, holder: Puppet) -> None:
    holder.call("lease.acquire", secret="openai/dev")
    daemon.call("secret.remove", name="openai/dev")
    with pytest.raises(SecretNotFound):
        holder.call("lease.acquire", secret="openai/dev")


def test_a_locked_store_leases_nothing_until_it_is_unlocked(daemon: Daemon, holder: Puppet) -> None:
    holder.call("lease.acquire", secret="openai/dev")
    daemon.call("store.lock")
    with pytest.raises(Locked):
        holder.call("lease.acquire", secret="openai/dev")
    daemon.call("store.unlock", passphrase=PASSPHRASE)
    assert holder.call("lease.acquire", secret="openai/dev")["value"] == "sk-of-the-tests"


@pytest.mark.parametrize("how", ["a call", "a signal"])
def test_the_daemons_end_ends_every_lease_and_tells_the_holders(
    daemon: Daemon, holder: Puppet, how: str
) -> None:
    lease = str(holder.call("lease.acquire", secret="openai/dev")["lease"])
    if how == "a call":
        assert daemon.call("daemon.stop") == {}
        daemon.process.wait(5)
    daemon.stop()
    assert _ended(daemon, lease) == "daemon stopped"
    holder.do("lines = client()._socket.recv(65536).decode()")
    assert '"reason":"daemon stopped"' in holder.get("lines")
    assert daemon.world.events()[-1]["event"] == "daemon.stopped"


def test_a_lease_does_not_outlive_a_daemon_that_was_killed(daemon: Daemon, holder: Puppet) -> None:
    lease = str(holder.call("lease.acquire", secret="openai/dev")["lease"])
    daemon.kill()
    with pytest.raises(BrokerError):
        holder.call("lease.renew", lease=lease)
