"""Whatever fails, and whenever the daemon dies: is all that was made in the journal, or ended?

A key that lives at the backend has to stand in the journal, itself or as what its login ends, at
every moment. None is given that is dead as it is given. In the end nothing is left.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from brokerd import upstream as upstream_module
from brokerd.asking import Asking
from brokerd.audit.group import GroupCommit
from brokerd.blocking import Blocking
from brokerd.breaker import Breaker
from brokerd.ending import Endings, Reason
from brokerd.journal import Journal
from brokerd.leases import Lease, LeaseTable
from brokerd.minting import Minting
from brokerd.model import BoundedBy, Credential, Secret, Whom
from brokerd.refusals import Refusals
from brokerd.revisions import Revisions
from brokerd.upstream import Upstream
from brokershim.errors import (
    BackendRefused,
    BackendUnavailable,
    BrokerError,
    ServerDown,
)
from tests.support.backends import WHOM
from tests.support.cache import Audit
from tests.support.serving import settle

_FAILURES = {
    "lost": ServerDown("the answer is lost"),
    "unsent": ServerDown("no connection", details={"sent": False}),
    "refused": BackendRefused("no"),
}
_STEPS = st.one_of(
    st.tuples(st.just("make"), st.none()),
    st.tuples(st.just("make"), st.none()),
    st.tuples(st.just("reach"), st.integers(0, 3)),
    st.tuples(st.just("reach"), st.integers(0, 3)),
    st.tuples(st.just("answer"), st.integers(0, 3)),
    st.tuples(st.just("answer"), st.integers(0, 3)),
    st.tuples(st.sampled_from(sorted(_FAILURES)), st.integers(0, 3)),
    st.tuples(st.just("end"), st.integers(0, 3)),
    st.tuples(st.just("give up"), st.integers(0, 3)),
    st.sampled_from([("look", None), ("crash", None), ("disk", None), ("their end", None)]),
)


@dataclass
class _Server:
    """What lives there: keys, each under a login."""

    live: dict[str, str] = field(default_factory=dict)
    logins: set[str] = field(default_factory=set)
    last: int = 0
    made: dict[str, str] = field(default_factory=dict)
    dead_as_given: list[str] = field(default_factory=list)
    theirs: set[str] = field(default_factory=set)
    """Logins that somebody else ended: nobody here can know of it before the server is asked."""

    def number(self) -> int:
        self.last += 1
        return self.last

    def served(self) -> set[str]:
        """Return what may be given: keys that live, and what nobody can know to be over."""
        return {*self.live, *self.theirs}

    def end(self, what: str) -> None:
        self.logins.discard(what)
        self.live = {key: by for key, by in self.live.items() if what not in (key, by)}


@dataclass
class _Backend:
    """A backend that logs in anew where its login has ended."""

    server: _Server
    login: str = ""
    lost: int = 0

    def revision(self) -> Hashable:
        return 0

    def generation(self) -> Hashable:
        return self.lost

    def key_of(self, name: str) -> Hashable:
        return name

    def describe(self, name: str) -> Secret:
        return Secret(name, "", ("host",), "x", 900.0, "", BoundedBy.BACKEND)

    def makes(self, name: str) -> bool:
        return bool(name)

    def prepare(self, name: str) -> str:
        assert name
        if self.login not in self.server.logins:
            self.lost += 1
            self.login = f"login-{self.server.number()}"
            self.server.logins.add(self.login)
        return self.login

    def make(self, name: str, risk: str | None, whom: Whom) -> Credential:
        assert name
        assert whom == WHOM
        if risk != self.login or risk not in self.server.logins:
            raise BackendUnavailable("it has just ended", details={"sent": False})
        upstream = f"key-{self.server.number()}"
        self.server.live[upstream] = self.server.made[upstream] = risk
        return Credential(b"key", upstream, BoundedBy.BACKEND, None, upstream)

    def fetch(self, name: str) -> Credential:
        raise AssertionError(name)

    def renew(self, upstream: str, seconds: float) -> float:
        raise AssertionError((upstream, seconds))

    def revoke(self, upstream: str) -> None:
        if upstream == self.login:
            self.lost += 1
            self.login = ""
        self.server.end(upstream)


@dataclass
class _Call:
    """One call of the backend: first it reaches the server, then its answer comes back."""

    call: Callable[[], Any]
    answer: asyncio.Future[Any]
    outcome: Any = None
    failure: BrokerError | None = None
    reached: bool = False

    def reach(self) -> None:
        if not self.reached:
            self.reached = True
            try:
                self.outcome = self.call()
            except BrokerError as error:
                self.failure = error

    def come_back(self, failure: BrokerError | None = None) -> None:
        failed = failure or self.failure
        if failed is None:
            self.answer.set_result(self.outcome)
        else:
            self.answer.set_exception(failed)


class _Daemon:
    """One life of a daemon, on what the one before left in a journal."""

    def __init__(self, server: _Server, path: Path) -> None:
        self.under_way: list[_Call] = []
        self.alive = True
        self.journal, self.leases = Journal(str(path)), LeaseTable()
        self.server, self.backend = server, _Backend(server)
        self.makers: list[asyncio.Task[None]] = []
        audit, backends = cast(GroupCommit, Audit()), {"x": self.backend}
        blocking, breaker = cast(Blocking, self), Breaker("x", lambda: 1.0)
        refusals = Refusals(audit, lambda: 0.0)
        asking = Asking(backends, {"x": breaker}, blocking, audit, refusals, lambda: 0.0)
        self.upstream = Upstream(backends, self.journal, audit, blocking)
        self.minting = Minting(backends, lambda _: "x", asking, self.upstream, lambda: 0.0)
        self.endings = Endings(self.leases, audit, self.upstream, lambda *_: None)
        self.revisions = Revisions(backends, ["x"], self.leases, self.endings)
        breaker._failed = lambda *_: None  # type: ignore[method-assign]  # no pause in this test
        self.upstream.resume()

    async def run(self, what: str, call: Callable[..., Any], *args: Any) -> Any:
        """Stand in for the threads."""
        del what
        if call == self.backend.describe:
            return call(*args)
        entry = _Call(partial(call, *args), asyncio.get_running_loop().create_future())
        self.under_way.append(entry)
        try:
            return await entry.answer
        finally:
            if entry in self.under_way and not self.alive:
                self.under_way.remove(entry)

    async def make(self) -> None:
        try:
            secret, made = await self.minting.make("a", WHOM)
        except BrokerError:
            return
        assert made.upstream is not None
        assert made.lease is not None
        if not {made.upstream, self.server.made[made.upstream]} & self.server.served():
            self.server.dead_as_given.append(made.upstream)
        self.leases.add(
            Lease(made.lease, secret.name, made.version, "s", 1, 1, made.bounded_by, 900.0, "x",
                  upstream=made.upstream)
        )  # fmt: skip

    def covered(self) -> set[str]:
        return {each.upstream for each in self.journal.pending()}

    async def die(self) -> None:
        """End as a kill does: nothing of it has any effect from now on."""
        self.alive = False
        self.journal.close()
        tasks = [*self.makers, *self.upstream._tasks]
        with mock.patch.object(Upstream, "end"), mock.patch.object(Upstream, "made_nothing"):
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.endings.settle()


class _World:
    def __init__(self, folder: Path) -> None:
        self.path, self.server, self.full = folder / "journal", _Server(), False
        self.daemon = _Daemon(self.server, self.path)

    def write(self, real: Callable[[int, bytes], int], fd: int, data: bytes) -> int:
        if self.full:
            raise OSError(28, "No space left on device")
        return real(fd, data)

    async def take(self, step: str, which: int | None) -> None:
        """Do one step, where it can be done, and let all that comes of it happen."""
        if step in ("reach", "answer", *_FAILURES):
            self.of_a_call(step, which or 0)
        else:
            await self.of_the_daemon(step, which or 0)
        await settle()

    def of_a_call(self, step: str, which: int) -> None:
        calls = self.daemon.under_way
        if not calls:
            return
        call = calls[which % len(calls)]
        if step in ("unsent", "refused") and call.reached:
            return
        if step in ("reach", "answer", "lost"):
            call.reach()
        if step != "reach":
            calls.remove(call)
            if not call.answer.done():  # given up
                call.come_back(_FAILURES.get(step))

    async def of_the_daemon(self, step: str, which: int) -> None:
        daemon = self.daemon
        match step:
            case "make":
                daemon.makers.append(asyncio.get_running_loop().create_task(daemon.make()))
            case "end" if len(daemon.leases):
                lease = list(daemon.leases)[which % len(daemon.leases)]
                daemon.endings.end([lease], Reason.RELEASED)
            case "give up" if daemon.makers:
                daemon.makers[which % len(daemon.makers)].cancel()
            case "look":
                daemon.revisions.look()
            case "their end":
                self.server.theirs.add(daemon.backend.login)
                self.server.end(daemon.backend.login)
            case "disk":
                self.full = not self.full
            case "crash" if not self.full:
                await self.crash()
            case _:
                pass

    async def crash(self) -> None:
        await self.daemon.die()
        self.daemon = _Daemon(self.server, self.path)

    def check(self) -> None:
        assert self.server.dead_as_given == []
        covered = self.daemon.covered()
        bare = {key for key, login in self.server.live.items() if not {key, login} & covered}
        # On a full disk it is being ended all the same, as long as the daemon lives.
        assert not bare or self.daemon.upstream._tasks, bare

    async def wind_down(self) -> None:
        """Let all be well again, and every lease end."""
        self.full = False
        for _ in range(2):  # a second daemon notes what a full disk kept the first from noting
            while self.daemon.under_way or len(self.daemon.leases):
                self.daemon.endings.end(self.daemon.leases, Reason.STOPPED)
                await self.take("answer", 0)
            await settle()
            assert self.server.live == {}  # by this daemon itself, without another's help
            await self.crash()
            await settle()
            while self.daemon.under_way:
                await self.take("answer", 0)
        await asyncio.gather(*self.daemon.makers, return_exceptions=True)


async def _live(folder: Path, steps: list[tuple[str, int | None]]) -> None:
    world = _World(folder)
    at_once = SimpleNamespace(**{**vars(asyncio), "sleep": lambda _: asyncio.sleep(0)})
    writing = mock.patch("brokerd.linefile.os.write", partial(world.write, os.write))
    with mock.patch.object(upstream_module, "asyncio", at_once), writing:
        for step, which in steps:
            await world.take(step, which)
            world.check()
        await world.wind_down()
        assert (world.server.live, world.server.dead_as_given) == ({}, [])
        assert world.daemon.covered() == set()
        await world.daemon.die()


@settings(max_examples=60)
@given(st.lists(_STEPS, min_size=8, max_size=30))
def test_nothing_is_left_and_nothing_dead_is_given(steps: list[tuple[str, int | None]]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="minting-"))
    try:
        with mock.patch("brokerd.linefile.sync_data"):
            asyncio.run(_live(folder, steps))
    finally:
        shutil.rmtree(folder)
