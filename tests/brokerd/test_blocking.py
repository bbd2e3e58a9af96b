from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest

from brokerd.blocking import Blocking, work_for
from brokershim.errors import BackendTimeout, SecretNotFound
from tests.support.serving import in_a_loop


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Hold threads up, and let them all go at the end."""
    made = threading.Event()
    yield made
    made.set()


@in_a_loop
async def test_it_returns_what_the_call_returns_from_another_thread() -> None:
    blocking = Blocking()
    assert await blocking.run("dividing", divmod, 7, 2) == (3, 1)
    assert await blocking.run("naming", threading.get_ident) != threading.get_ident()
    blocking.close()


@in_a_loop
async def test_an_error_comes_through() -> None:
    def fail() -> None:
        raise SecretNotFound("none")

    blocking = Blocking()
    with pytest.raises(SecretNotFound, match="none"):
        await blocking.run("failing", fail)
    blocking.close()


@in_a_loop
async def test_what_takes_too_long_is_given_up_by_name(gate: threading.Event) -> None:
    blocking = Blocking(deadline=0.02)
    with pytest.raises(BackendTimeout, match="the keyring did not answer in 0 s"):
        await blocking.run("the keyring", gate.wait)
    blocking.close()


@in_a_loop
async def test_the_loop_goes_on_meanwhile(gate: threading.Event) -> None:
    blocking = Blocking()
    waiting = asyncio.get_running_loop().create_task(blocking.run("waiting", gate.wait))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    gate.set()
    assert await waiting is True
    blocking.close()


@in_a_loop
async def test_one_client_that_hangs_holds_up_no_other(gate: threading.Event) -> None:
    blocking = Blocking(deadline=5)

    async def of(pid: int, call: str) -> str:
        work_for(pid)
        if call == "hang":
            await blocking.run("hanging", gate.wait)
        return await blocking.run("quick", lambda: f"for {pid}")

    loop = asyncio.get_running_loop()
    hanging = [loop.create_task(of(1, "hang")) for _ in range(100)]
    await asyncio.sleep(0.01)
    others = [of(pid, "quick") for pid in range(2, 42)]
    assert await asyncio.gather(*others) == [f"for {pid}" for pid in range(2, 42)]
    assert not any(each.done() for each in hanging)
    gate.set()
    assert await asyncio.gather(*hanging) == ["for 1"] * 100
    blocking.close()


@in_a_loop
async def test_a_thread_is_free_when_its_call_ends_and_not_when_it_is_given_up(
    gate: threading.Event,
) -> None:
    blocking = Blocking(deadline=0.02)
    work_for(1)
    for _ in range(4):
        with pytest.raises(BackendTimeout):
            await blocking.run("hanging", gate.wait)
    running = [each for each in threading.enumerate() if "brokerd-blocking" in each.name]
    assert len(running) <= 2
    gate.set()
    blocking._deadline = 5.0  # enough for the threads to end, however busy the machine is
    assert await blocking.run("quick", lambda: "again") == "again"
    blocking.close()


@in_a_loop
async def test_what_never_ran_for_want_of_a_thread_says_so(gate: threading.Event) -> None:
    """So that nobody takes it for a request that a backend may have carried out."""
    blocking, ran = Blocking(deadline=0.02), threading.Event()
    work_for(1)
    for _ in range(2):
        with pytest.raises(BackendTimeout) as caught:
            await blocking.run("hanging", gate.wait)
        assert caught.value.details == {}
    with pytest.raises(BackendTimeout) as caught:  # no place for the client
        await blocking.run("third", ran.set)
    assert caught.value.details == {"sent": False}
    work_for(2)
    with mock.patch.object(blocking, "_executor", ThreadPoolExecutor(1)) as pool:
        pool.submit(gate.wait)
        with pytest.raises(BackendTimeout) as caught:  # no thread for anybody
            await blocking.run("fourth", ran.set)
        assert caught.value.details == {"sent": False}
        gate.set()
        pool.shutdown()
    blocking.close()
    assert not ran.is_set()


@in_a_loop
async def test_the_daemons_own_work_waits_for_no_clients(gate: threading.Event) -> None:
    blocking = Blocking(deadline=5)

    async def client() -> None:
        work_for(1)
        await blocking.run("hanging", gate.wait)

    hanging = [asyncio.get_running_loop().create_task(client()) for _ in range(10)]
    await asyncio.sleep(0.01)
    assert await blocking.run("own", lambda: "done") == "done"
    gate.set()
    await asyncio.gather(*hanging)
    blocking.close()


@in_a_loop
async def test_a_closed_one_waits_for_nothing_that_hangs(gate: threading.Event) -> None:
    blocking = Blocking()
    hanging = asyncio.get_running_loop().create_task(blocking.run("hanging", gate.wait))
    await asyncio.sleep(0.01)
    blocking.close()
    assert not hanging.done()
    gate.set()
    await hanging


@in_a_loop
async def test_what_is_under_way_may_end_even_if_nobody_waits_for_it(gate: threading.Event) -> None:
    blocking, ended = Blocking(deadline=0.02), threading.Event()

    def keep() -> None:
        gate.wait()
        ended.set()

    with pytest.raises(BackendTimeout):
        await blocking.run("the keyring", keep)
    settled = asyncio.get_running_loop().create_task(blocking.settle(60))
    asyncio.get_running_loop().call_soon(gate.set)
    await settled
    assert ended.is_set()
    blocking.close()


@in_a_loop
async def test_what_hangs_is_not_waited_for_for_ever(gate: threading.Event) -> None:
    blocking = Blocking(deadline=0.02)
    with pytest.raises(BackendTimeout):
        await blocking.run("the keyring", gate.wait)
    await blocking.settle(0.0)
    assert not gate.is_set()
    blocking.close()
