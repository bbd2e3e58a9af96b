"""The daemon killed at every step of a lease that a real Vault made: the next one ends it.

Afterwards the server's own list of leases is empty. Nothing there would have ended by itself within
the time of the test.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from brokerctl.commands.daemon import _STOP_SECONDS
from tests.support.between import Between
from tests.support.daemon import World, started, wait_until
from tests.support.jwks import Issuer
from tests.support.postgres import Postgres
from tests.support.puppet import Puppet, Stage
from tests.support.vault import Server
from tests.support.vault_daemon import STEPS
from tests.support.vaulted_world import NAME, VaultedWorld, says

_OPEN = STEPS[STEPS.index("made") : STEPS.index("revoked")]
"""Where the server has a lease as the daemon is killed."""
_ALWAYS = {"made", "replied"}
"""What is tried in every run; the rest takes too long for that."""
_SEND = """
from brokershim import wire
request = wire.Request(99, given["method"], given["params"])
client()._socket.sendall(wire.encode_request(request))
"""
_REQUESTS = {
    "renewed": "lease.renew",
    **dict.fromkeys(STEPS[STEPS.index("ended") :], "lease.release"),
}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


def _goes_to(step: str, holder: Puppet) -> None:
    """Let a lease go as far as to that step, without waiting for a reply that does not come."""
    holder.call("session.open", program="/bin/true", env={"A": NAME})
    method, params = "lease.acquire", {"secret": NAME}
    if step in _REQUESTS:
        lease = holder.call("lease.acquire", secret=NAME)["lease"]
        method, params = _REQUESTS[step], {"lease": lease}
    holder.do(_SEND, method=method, params=params)


def _is_killed_and_leaves_nothing(it: VaultedWorld, stage: Stage, step: str) -> None:
    with it.halting(step) as process:
        _goes_to(step, stage.enter())
        assert says(process) == f"at {step}"
        wait_until(lambda: len(it.leases()) == (1 if step in _OPEN else 0))
    with started(it.world):
        wait_until(lambda: it.leases() == [], 10)
        wait_until(lambda: '"upstream"' not in _journal(it.world), 10)
    assert it.leases() == []


def _journal(world: World) -> str:
    """Return what a daemon that starts now would find: what is closed is dropped then."""
    lines = (world.state / "journal.jsonl").read_text().splitlines()
    return "" if '"closed"' in (lines or [""])[-1] else "\n".join(lines)


@pytest.mark.parametrize(
    "step",
    [each if each in _ALWAYS else pytest.param(each, marks=pytest.mark.slow) for each in STEPS],
)
def test_nothing_is_left_in_the_server(
    vault_server: Server, issuer: Issuer, world: World, stage: Stage, step: str
) -> None:
    _is_killed_and_leaves_nothing(VaultedWorld(world, vault_server, issuer), stage, step)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS[STEPS.index("before making") :])
def test_nothing_is_left_in_a_database(
    vault_server: Server,
    postgres_server: Postgres,
    issuer: Issuer,
    world: World,
    stage: Stage,
    step: str,
) -> None:
    before = postgres_server.users()
    users_at = postgres_server.mount(vault_server)
    it = VaultedWorld(world, vault_server, issuer, users_at)
    _is_killed_and_leaves_nothing(it, stage, step)
    assert postgres_server.users() <= before


@pytest.mark.slow
def test_a_crash_with_many_leases_leaves_none(
    vault_server: Server, issuer: Issuer, world: World, stage: Stage
) -> None:
    it = VaultedWorld(world, vault_server, issuer)
    with it.halting("none"):
        holder = stage.enter()
        holder.call("session.open", program="/bin/true", env={"A": NAME})
        for _ in range(20):
            holder.call("lease.acquire", secret=NAME)
    assert len(it.leases()) == 20
    with started(world):
        wait_until(lambda: it.leases() == [], 20)


@pytest.mark.slow
def test_a_daemon_whose_server_hangs_as_it_stops_ends_in_time_and_leaves_it_to_the_next(
    vault_server: Server, issuer: Issuer, world: World, stage: Stage
) -> None:
    with Between(vault_server.process.address, ()) as between:
        it = VaultedWorld(world, vault_server, issuer, address=f"http://{between.address}")
        with it.halting("none") as process:
            holder = stage.enter()
            holder.call("session.open", program="/bin/true", env={"A": NAME})
            holder.call("lease.acquire", secret=NAME)
            between.turn("hanging")
            process.terminate()
            assert process.wait(_STOP_SECONDS) == 0
        assert len(it.leases()) == 1
        between.turn("up")
        with started(world):
            wait_until(lambda: it.leases() == [], 20)
