"""The daemon killed at every step of a lease, with a backend that minted a credential for it.

Nothing is left by any of them: what ends all that may be minted is in the journal before the
backend is asked, and the credential's own id before its key goes out. The next daemon revokes
either.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from brokershim.errors import AlreadyRunning, BrokerError, DaemonUnreachable
from tests.support import minting_daemon
from tests.support.daemon import PACKAGES, World, failure_to_start, own_python, wait_until
from tests.support.minting_daemon import KEY, STEPS
from tests.support.puppet import Puppet, Stage

_OPEN = STEPS[STEPS.index("minted") : STEPS.index("revoked")]
_NO_KEY_OUT = STEPS[: STEPS.index("replied")]


class _Minting:
    """The program of `tests.support.minting_daemon`, one run of it at a time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.backend = world.root / "backend"
        self.backend.touch()
        world.grant("*")

    @contextmanager
    def runs(self, halt_at: str = "none") -> Generator[subprocess.Popen[str]]:
        """Start it and wait until it is ready; it is killed at the end."""
        command = [*own_python(), minting_daemon.__file__, json.dumps(PACKAGES)]
        with subprocess.Popen(
            [*command, str(self.backend), halt_at],
            stdout=subprocess.PIPE,
            env=self.world.environ,
            cwd="/",
            text=True,
        ) as process:
            try:
                assert self.says(process) == "ready"
                yield process
            finally:
                process.kill()

    def says(self, process: subprocess.Popen[str]) -> str:
        """Return the next line that it says."""
        assert process.stdout is not None
        return process.stdout.readline().rstrip("\n")

    def open(self) -> set[str]:
        """Return what the backend itself calls open."""
        found: dict[str, str] = {}
        for line in self.backend.read_text().splitlines():
            what, upstream, *login = line.split()
            if what == "minted":
                found[upstream] = login[0]
            else:
                found = {each: by for each, by in found.items() if upstream not in (each, by)}
        return set(found)

    def journal(self) -> str:
        """Return the journal as it stands on disk."""
        path = self.world.state / "journal.jsonl"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def minting(world: World) -> _Minting:
    return _Minting(world)


def _holder(stage: Stage) -> Puppet:
    puppet = stage.enter()
    puppet.call("session.open", program="/bin/true", env={"A": "a"})
    return puppet


_SEND = """
from brokershim import wire
request = wire.Request(99, given["method"], given["params"])
client()._socket.sendall(wire.encode_request(request))
"""
_READ = """
client()._socket.settimeout(5)
heard = b""
try:
    while part := client()._socket.recv(65536):
        heard += part
except ConnectionResetError:
    pass
heard = heard.decode()
"""
_FIRST_HALF = STEPS[: STEPS.index("renewed")]


def _goes_to(step: str, holder: Puppet) -> None:
    """Let a lease go as far as to that step, without waiting for a reply that does not come."""
    if step in _FIRST_HALF:
        holder.do(_SEND, method="lease.acquire", params={"secret": "a"})
        return
    lease = holder.call("lease.acquire", secret="a")["lease"]
    method = "lease.renew" if step == "renewed" else "lease.release"
    holder.do(_SEND, method=method, params={"lease": lease})


@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_left_by_a_daemon_that_is_killed(
    minting: _Minting, stage: Stage, step: str
) -> None:
    with minting.runs(halt_at=step) as process:
        holder = _holder(stage)
        _goes_to(step, holder)
        assert minting.says(process) == f"at {step}"
    left = minting.open()
    assert len(left) == (1 if step in _OPEN else 0)
    holder.do(_READ)
    key_went_out = KEY in str(holder.get("heard")) or step not in _FIRST_HALF
    assert key_went_out == (step not in _NO_KEY_OUT)
    assert KEY not in minting.journal()
    with minting.runs():
        wait_until(lambda: minting.open() == set())
        wait_until(lambda: minting.world.events("upstream.revoked") != [] or not left)
    if key_went_out:
        assert minting.world.events("lease.acquired")


def test_a_second_crash_while_it_clears_up_changes_nothing(minting: _Minting, stage: Stage) -> None:
    with minting.runs(halt_at="replied") as process:
        _goes_to("replied", _holder(stage))
        assert minting.says(process) == "at replied"
    assert len(minting.open()) == 1
    for step in ("before revoking", "revoked", "out of the journal"):
        with minting.runs(halt_at=step) as process:
            assert minting.says(process) == f"at {step}"
    with minting.runs():
        wait_until(lambda: minting.open() == set())


def test_a_crash_with_many_leases_leaves_none(minting: _Minting, stage: Stage) -> None:
    with minting.runs() as process:
        holder = _holder(stage)
        for _ in range(20):
            holder.call("lease.acquire", secret="a")
        process.kill()
    assert len(minting.open()) == 20
    with minting.runs():
        wait_until(lambda: minting.open() == set())


def test_the_holder_of_a_lease_learns_that_the_daemon_is_gone(
    minting: _Minting, stage: Stage
) -> None:
    with minting.runs() as process:
        holder = _holder(stage)
        lease = holder.call("lease.acquire", secret="a")["lease"]
        process.kill()
    with pytest.raises(DaemonUnreachable):
        holder.told()
    holder.do("hang_up()")
    with minting.runs(), pytest.raises(BrokerError):
        holder.call("lease.renew", lease=lease)


def test_a_daemon_that_still_ends_keeps_the_next_one_out(minting: _Minting, stage: Stage) -> None:
    """It has let go of the socket, but not of the journal and the audit."""
    with minting.runs(halt_at="before revoking") as process:
        _holder(stage).call("lease.acquire", secret="a")
        process.terminate()
        assert minting.says(process) == "at before revoking"
        wait_until(lambda: not os.path.lexists(minting.world.socket))
        assert isinstance(failure_to_start(minting.world), AlreadyRunning)
