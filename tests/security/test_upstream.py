"""Claim 25: a crash at the right moment must not leave a credential that nobody ends."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from brokershim.errors import AuditUnavailable
from tests.security import minting_daemon
from tests.support.daemon import Daemon, World, own_python, wait_until
from tests.support.puppet import Puppet, Stage


class Mint:
    """The folder of a mint, and the daemon that works with it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.folder = world.root / "mint"
        self.folder.mkdir()
        self.down = self.folder / "down"

    @contextmanager
    def daemon(self) -> Generator[Daemon]:
        script = str(Path(minting_daemon.__file__))
        daemon = Daemon(self.world, [*own_python(), script, str(self.folder)])
        try:
            daemon.raise_if_not_ready()
            yield daemon
        finally:
            daemon.abandon()

    def good(self) -> set[str]:
        """Return the credentials that would work now."""
        return {path.name.removeprefix("good-") for path in self.folder.glob("good-*")}


@pytest.fixture
def mint(world: World) -> Mint:
    world.grant("minted/*")
    return Mint(world)


def _lease(stage: Stage) -> tuple[Puppet, str]:
    """Return a session's root, and the number of the credential that it was leased."""
    root = stage.enter()
    root.call("session.open", program="/bin/true", env={"KEY": minting_daemon.NAME})
    value = root.call("lease.acquire", secret=minting_daemon.NAME)["value"]
    return root, value.removeprefix("sk-minted-")


def test_claim_25_what_was_made_for_a_lease_is_in_the_journal_when_its_key_goes_out(
    mint: Mint, stage: Stage
) -> None:
    with mint.daemon():
        _, number = _lease(stage)
        assert mint.good() == {number}
        journal = (mint.world.state / "journal.jsonl").read_text()
        assert json.loads(journal.splitlines()[-1])["upstream"] == number


@pytest.mark.parametrize("end", ["release", "hang up", "die"])
def test_claim_25_it_ends_with_the_lease(mint: Mint, stage: Stage, end: str) -> None:
    with mint.daemon():
        root, number = _lease(stage)
        assert mint.good() == {number}
        if end == "release":
            held = root.call("lease.list")["leases"][0]["lease"]
            root.call("lease.release", lease=held)
        elif end == "hang up":
            root.do("hang_up()")
        else:
            root.cut()
        wait_until(lambda: mint.good() == set())


def test_claim_25_it_ends_after_a_crash(mint: Mint, stage: Stage) -> None:
    """The attacker kills the daemon as soon as it has the key, so that nothing revokes it."""
    with mint.daemon() as daemon:
        numbers = {_lease(stage)[1] for _ in range(3)}
        daemon.kill()
    assert mint.good() == numbers
    with mint.daemon():
        wait_until(lambda: mint.good() == set())
        wait_until(lambda: len(mint.world.events("upstream.revoked")) == len(numbers))


def test_claim_25_it_ends_however_often_the_backend_fails(mint: Mint, stage: Stage) -> None:
    mint.down.touch()
    with mint.daemon() as daemon:
        root, number = _lease(stage)
        root.cut()
        wait_until(lambda: bool(mint.world.events("session.ended")))
        daemon.kill()
    with mint.daemon() as daemon:
        wait_until(lambda: "is not revoked yet" in daemon.log)
        assert mint.good() == {number}
        mint.down.unlink()
        wait_until(lambda: mint.good() == set())


def test_claim_25_without_a_journal_no_key_goes_out_and_nothing_is_left(
    mint: Mint, stage: Stage
) -> None:
    with mint.daemon():
        root, number = _lease(stage)
        (mint.world.state / "journal.jsonl").unlink()
        with pytest.raises(AuditUnavailable):
            root.call("lease.acquire", secret=minting_daemon.NAME)
        wait_until(lambda: mint.good() <= {number})
