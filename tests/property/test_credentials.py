"""Whatever order things happen in: is a key served only while it may be, and fetched once?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from brokerd.asking import Asking
from brokerd.audit.group import GroupCommit
from brokerd.blocking import Blocking
from brokerd.breaker import Breaker
from brokerd.credentials import Credentials
from brokerd.model import BoundedBy, Credential, Secret
from brokerd.refusals import Refusals
from brokerd.sealed import Sealer
from brokershim.errors import BrokerError, ExchangeRefused, ServerDown
from tests.support.cache import Audit
from tests.support.serving import settle

_LIFE, _REFRESH, _FLOOR = 100.0, 50.0, 10.0
_KEYS = {"a": "one", "b": "one", "c": "two"}
_SEALER = Sealer()

_GET = st.tuples(st.just("get"), st.sampled_from(sorted(_KEYS)))
_LAND = st.tuples(st.just("land"), st.none())
_STEPS = st.one_of(
    _GET,
    _GET,
    _LAND,
    _LAND,
    st.tuples(st.just("land"), st.sampled_from([ServerDown("away"), ExchangeRefused("no")])),
    st.tuples(st.just("refresh"), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 3.0, 20.0, 51.0, 91.0, 101.0])),
    st.tuples(st.just("refuse"), st.integers(-2, 1)),
    st.sampled_from([("revise", None), ("clear", None)]),
)


class _World:
    """Credentials, and a backend each of whose fetches ends when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.basis = (0, 0)
        self.under_way: list[tuple[str, asyncio.Future[None]]] = []
        self.last = 0
        self.keys: dict[str, Credential] = {}
        self.begun: dict[str, tuple[int, int]] = {}
        self.served_by: dict[str, str] = {}
        self.refused: set[str] = set()
        audit = cast(GroupCommit, Audit())
        asking = Asking(
            {"x": self}, {"x": Breaker("x", lambda: 1.0)}, cast(Blocking, self), audit,
            Refusals(audit, self.clock), self.clock,
        )  # fmt: skip
        self.credentials = Credentials(
            {"x": self}, lambda _: "x", _SEALER, asking, self.clock, lambda: 1.0
        )

    def clock(self) -> float:
        return self.now

    async def run(self, what: str, call: Callable[..., Any], name: str) -> Any:
        """Stand in for the threads."""
        del what
        if call == self.describe:
            return self.describe(name)
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry, basis = (_KEYS[name], ended), self.basis
        self.under_way.append(entry)
        assert len({key for key, _ in self.under_way}) == len(self.under_way)
        try:
            await ended
        finally:
            self.under_way.remove(entry)
        made = self.fetch(name)
        self.begun[made.version] = basis
        return made

    def revision(self) -> int:
        return self.basis[0]

    def key_of(self, name: str) -> str:
        return _KEYS[name]

    def describe(self, name: str) -> Secret:
        return Secret(name, "", ("host",), "x", 900.0, "", BoundedBy.PROVIDER)

    def fetch(self, name: str) -> Credential:
        version = str(self.last)
        made = Credential(
            b"key-" + version.encode(), version, BoundedBy.PROVIDER, self.now + _LIFE, None,
            self.now + _REFRESH, _FLOOR,
        )  # fmt: skip
        self.keys[version], self.served_by[version] = made, _KEYS[name]
        return made

    def revoke(self, upstream: str) -> None:
        raise AssertionError(upstream)

    def has(self, name: str) -> bool:
        """Return whether there is a key that has to be served, whatever the backend does."""
        mine = [each for each, key in self.served_by.items() if key == _KEYS[name]]
        return bool(mine) and self.may_serve(mine[-1], _FLOOR)

    def may_serve(self, version: str, floor: float) -> bool:
        ends = self.keys[version].expires_at
        assert ends is not None
        current = self.begun[version] == self.basis and version not in self.refused
        return current and ends - self.now > floor

    async def get(self, name: str) -> None:
        try:
            secret, found = await self.credentials.get(name)
        except BrokerError:
            assert not self.has(name)
            return
        assert secret.name == name
        assert self.served_by[found.version] == _KEYS[name]
        assert found.value == self.keys[found.version].value
        assert self.may_serve(found.version, 0.0)

    def take(self, step: str, with_: Any) -> None:
        match step:
            case "refresh":
                self.credentials.refresh_due(_KEYS)
            case "wait":
                self.now += with_
            case "refuse":
                # Also one that is still on its way: the next to land has the next number.
                version = str(self.last + min(with_, len(self.under_way)))
                self.refused.add(version)
                for name, key in _KEYS.items():
                    if self.served_by.get(version, key) == key:
                        self.credentials.forget(name, version)
            case "revise":
                self.basis = (self.basis[0] + 1, self.basis[1])
            case "clear":
                self.basis = (self.basis[0], self.basis[1] + 1)
                self.credentials.clear("x")
            case "land" if self.under_way:
                _, ended = self.under_way[0]
                self.last += 1
                ended.set_result(None) if with_ is None else ended.set_exception(with_)
            case _:
                pass


async def _live(steps: list[tuple[str, Any]]) -> None:
    world = _World()
    loop = asyncio.get_running_loop()
    callers: list[asyncio.Task[None]] = []
    for step, with_ in steps:
        if step == "get":
            at_once = world.has(with_)
            callers.append(loop.create_task(world.get(with_)))
            await settle()
            assert callers[-1].done() or not at_once
        world.take(step, with_)
        await settle()
    while world.under_way:
        world.take("land", ServerDown("away"))
        await settle()
    await asyncio.gather(*callers)
    assert not world.credentials._flights


# Each fetch but the last brings a key that is refused; who asked for another secret gets it, too.
@example([("get", "a"), ("get", "b"), ("refuse", 1), ("land", None), ("refuse", 1), ("land", None),
          ("land", None)])  # fmt: skip
@settings(max_examples=300)
@given(st.lists(_STEPS, min_size=8, max_size=40))
def test_a_key_is_served_only_while_it_may_be_and_fetched_once(
    steps: list[tuple[str, Any]],
) -> None:
    asyncio.run(_live(steps))
