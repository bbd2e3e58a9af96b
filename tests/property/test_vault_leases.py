"""Whatever happens to leases of a real Vault: is nothing left there, and nothing dead served?

Each key is looked up in the server's own list of leases as it is served. After each run that list
is empty.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from brokershim.errors import BackendUnavailable, BrokerError, LeaseNotFound
from tests.support.between import Between, State
from tests.support.daemon import new_world, wait_until
from tests.support.jwks import Issuer
from tests.support.postgres import Postgres
from tests.support.puppet import Stage
from tests.support.vault import Server, dev_server
from tests.support.vaulted_world import NAME, VaultedWorld

_SECONDS = 20.0
_WHICH = st.integers(0, 5)
_OUTAGES: list[State] = ["away", "deaf", "deaf", "hanging"]
_MAKING = b"/issue/", b"/creds/"
"""What is in a request that has a key made."""
_MEANWHILE = ["acquire", "acquire", "renew", "release", "crash"]


class Leases(RuleBasedStateMachine):
    """One holder, its leases, the daemon, and the server behind a network that fails.

    Attributes:
        server: The Vault; it has no other user.
        issuer: Signs what the daemon logs in with.
        database: Where users are made; certificates are, if None.
    """

    server: Server
    issuer: Issuer
    database: Postgres | None = None

    def __init__(self) -> None:
        super().__init__()
        server, database = self.server, self.database
        self.others = server.accessors()
        self.all, self.running = ExitStack(), ExitStack()
        world = self.all.enter_context(new_world())
        self.between = self.all.enter_context(Between(server.process.address, _MAKING))
        users_at = database.mount(server) if database else None
        address = f"http://{self.between.address}"
        self.it = VaultedWorld(world, server, self.issuer, users_at, address)
        self.holder = self.all.enter_context(Stage(world)).enter()
        self.start()

    def start(self) -> None:
        """Start a daemon, and open a session with it."""
        self.held: dict[str, str] = {}
        self.calm = self.between.state == "up"
        self.process: subprocess.Popen[str] = self.running.enter_context(self.it.halting("hurry"))
        self.holder.do("hang_up()")
        self.holder.call("session.open", program="/bin/true", env={"A": NAME})

    @rule()
    def acquire_another(self) -> None:  # drawn as often as the rest: leases are what it is about
        self.acquire()

    @rule()
    def acquire(self) -> None:
        try:
            lease = str(self.holder.call("lease.acquire", secret=NAME)["lease"])
        except BackendUnavailable:
            assert not self.calm or self.between.state != "up"
            return
        self.held[lease] = self.upstream_of(lease)
        assert self.held[lease] in self.it.leases()
        self.calm = self.between.state == "up"

    @precondition(lambda self: self.held)
    @rule(which=_WHICH)
    def renew(self, which: int) -> None:
        lease = self.one(which)
        try:
            self.holder.call("lease.renew", lease=lease)
        except LeaseNotFound:
            del self.held[lease]
        except BrokerError:
            assert self.between.state != "up"
        else:
            # In an outage nobody knows; its end stays what it was.
            assert self.between.state != "up" or self.held[lease] in self.it.leases()

    @precondition(lambda self: self.held)
    @rule(which=_WHICH)
    def release(self, which: int) -> None:
        lease = self.one(which)
        del self.held[lease]
        try:
            self.holder.call("lease.release", lease=lease)
        except LeaseNotFound:
            assert not self.calm

    @precondition(lambda self: self.held)
    @rule(which=_WHICH)
    def somebody_revokes_one(self, which: int) -> None:
        upstream = self.held[self.one(which)]
        self.calm = False
        if upstream in self.it.leases():
            self.server.write("sys/leases/revoke", lease_id=upstream)
        wait_until(lambda: upstream not in self.it.leases(), _SECONDS)

    @rule()
    def somebody_revokes_the_login(self) -> None:
        self.calm = False
        for accessor in self.server.accessors() - self.others:
            self.server.write("auth/token/revoke-accessor", accessor=accessor)
        wait_until(lambda: self.it.leases() == [], _SECONDS)

    @rule(how=st.sampled_from(_OUTAGES), meanwhile=st.sampled_from(_MEANWHILE), which=_WHICH)
    def outage(self, how: State, meanwhile: str, which: int) -> None:
        self.calm = False
        self.between.turn(how)
        if meanwhile == "acquire":
            self.acquire()
        elif meanwhile == "crash":
            self.crash()
        elif self.held:
            {"renew": self.renew, "release": self.release}[meanwhile](which)
        self.between.turn("up")
        self.settles()

    @precondition(lambda self: self.held)
    @rule()
    def crash(self) -> None:
        self.running.close()
        self.start()
        self.settles()

    @rule()
    def restart(self) -> None:
        self.process.terminate()
        assert self.process.wait(_SECONDS) == 0
        assert self.it.leases() == []
        self.running.close()
        self.start()

    def teardown(self) -> None:
        with self.all, self.running:
            self.holder.do("hang_up()")
            wait_until(lambda: self.it.leases() == [], _SECONDS)
            self.process.terminate()
            assert self.process.wait(_SECONDS) == 0
            assert self.it.leases() == []

    def settles(self) -> None:
        """Wait until the server has nothing that nobody holds, as far as it can be reached."""
        if self.between.state == "up":
            wait_until(lambda: set(self.it.leases()) <= set(self.held.values()), _SECONDS)

    def one(self, which: int) -> str:
        return list(self.held)[which % len(self.held)]

    def upstream_of(self, lease: str) -> str:
        """Return the server's id of a lease, as the journal on disk has it."""
        lines = (self.it.world.state / "journal.jsonl").read_text().splitlines()
        found = [each for each in map(json.loads, lines) if each.get("lease") == lease]
        return str(found[-1]["upstream"]).removeprefix("lease/")


class LeasesThatEnd(Leases):
    """The same, with leases that can be made to expire."""

    @precondition(lambda self: self.held)
    @rule(which=_WHICH)
    def one_expires(self, which: int) -> None:
        upstream = self.held[self.one(which)]
        self.calm = False
        if upstream in self.it.leases():
            self.server.write("sys/leases/renew", lease_id=upstream, increment=1)
        wait_until(lambda: upstream not in self.it.leases(), _SECONDS)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with dev_server() as running:  # its own: every login at it is revoked
        yield running


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with Issuer() as running:
        yield running


def _among(
    machine: type[Leases], server: Server, issuer: Issuer, database: Postgres | None = None
) -> type[Leases]:
    """Return a machine that works with these."""
    parts = {"server": server, "issuer": issuer, "database": database}
    return type(machine.__name__, (machine,), parts)


def _try(machine: type[Leases], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            # Each example starts daemons: to look for a shorter one would take many minutes.
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


def test_nothing_is_left_and_nothing_dead_is_served(server: Server, issuer: Issuer) -> None:
    """In one history that was picked by hand; the slow suite goes through many."""
    it = _among(Leases, server, issuer)()
    it.acquire()
    it.outage("deaf", "acquire", 0)  # which ends the login, and what was made under it
    it.acquire()
    it.acquire()
    it.renew(0)
    it.somebody_revokes_one(1)
    it.renew(1)
    it.crash()
    it.acquire()
    it.somebody_revokes_the_login()
    it.acquire()
    it.outage("away", "release", 0)
    it.teardown()


@pytest.mark.slow
def test_the_same_with_many_histories(server: Server, issuer: Issuer) -> None:
    _try(_among(Leases, server, issuer), 5, 20)


@pytest.mark.slow
def test_the_same_with_users_of_a_database(
    server: Server, issuer: Issuer, postgres_server: Postgres
) -> None:
    _try(_among(LeasesThatEnd, server, issuer, postgres_server), 5, 20)
    assert postgres_server.users() == set()
