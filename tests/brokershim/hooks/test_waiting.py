"""An event loop goes on while the daemon is asked, and a cancelled request waits for nobody."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

from tests.brokershim.conftest import KEY, Clock
from tests.brokershim.hooks.flavour import ASYNC, BEARER, QUICK, Flavour
from tests.support.fakebroker import FakeBroker
from tests.support.misbehaviour import released
from tests.support.provider import Provider, key_of

each_flavour = pytest.mark.parametrize("flavour", ASYNC, ids=str)


@each_flavour
def test_loop_goes_on_while_the_daemon_is_asked(
    flavour: Flavour, provider: Provider, broker: FakeBroker
) -> None:
    broker.hold.clear()

    statuses: list[int] = []

    async def main() -> None:
        client = flavour.library.AsyncClient(**QUICK)
        async with client, anyio.create_task_group() as group:

            async def ask() -> None:
                response = await client.post(provider.url, headers=BEARER)
                statuses.append(response.status_code)

            group.start_soon(ask)
            while not broker.named("lease.acquire"):  # noqa: ASYNC110 - turns if the loop does
                await anyio.sleep(0.001)
            assert statuses == []
            broker.hold.set()

    flavour.run(main)
    assert statuses == [200]


@each_flavour
def test_request_that_is_cancelled_does_not_wait_for_the_daemon(
    flavour: Flavour, provider: Provider, broker: FakeBroker
) -> None:
    broker.hold.clear()

    async def main() -> Any:
        async with flavour.library.AsyncClient(**QUICK) as client:
            with anyio.move_on_after(0.05) as scope:
                await client.post(provider.url, headers=BEARER)
            assert scope.cancelled_caught
            assert not broker.hold.is_set()
            broker.hold.set()
            return await client.post(provider.url, headers=BEARER)

    assert flavour.run(main).status_code == 200
    assert len(broker.named("lease.acquire")) == 1, "the one that was left to finish"


@each_flavour
def test_request_that_is_cancelled_on_its_way_ends_as_any_other(
    flavour: Flavour, provider: Provider
) -> None:
    released.clear()

    async def main() -> Any:
        async with flavour.library.AsyncClient(**QUICK) as client:
            with pytest.raises(TimeoutError) as raised:
                with anyio.fail_after(0.1):
                    await client.post(f"{provider.url}/stall", headers=BEARER)
            assert KEY not in repr(raised.value.__context__)
            return await client.post(provider.url, headers=BEARER)

    assert flavour.run(main).status_code == 200
    released.set()


@each_flavour
def test_warm_request_starts_no_thread(flavour: Flavour, provider: Provider) -> None:
    async def main() -> None:
        async with flavour.library.AsyncClient(**QUICK) as client:
            await client.post(provider.url, headers=BEARER)
            before = threading.active_count()
            await client.post(provider.url, headers=BEARER)
            assert threading.active_count() <= before

    import anyio.to_thread as threads

    used: list[object] = []
    real = threads.run_sync

    async def counted(*args: Any, **options: Any) -> Any:
        used.append(args)
        return await real(*args, **options)

    counted.__kwdefaults__ = real.__kwdefaults__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threads, "run_sync", counted)
        flavour.run(main)
    assert len(used) == 1


@each_flavour
def test_many_requests_at_once_lease_once(
    flavour: Flavour, provider: Provider, broker: FakeBroker
) -> None:
    async def main() -> None:
        async with (
            flavour.library.AsyncClient(**QUICK, timeout=30) as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(30):
                group.start_soon(lambda: client.get(provider.url, headers=BEARER))

    flavour.run(main)
    assert [key_of(asked) for asked in provider.asked] == [KEY] * 30
    assert len(broker.named("lease.acquire")) == 1


@each_flavour
def test_old_anyio_is_spoken_to_in_its_own_words(
    flavour: Flavour, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    import anyio.to_thread as threads

    real = threads.run_sync

    async def run_sync(work: Any, *, cancellable: bool = False) -> Any:
        assert cancellable
        return await real(work)

    monkeypatch.setattr(threads, "run_sync", run_sync)
    assert flavour.ask(provider.url).status_code == 200


@each_flavour
def test_thread_that_remembers_its_last_task_keeps_no_lease(
    flavour: Flavour, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As workers of older anyios do: each keeps the function in a local of its loop."""
    import anyio.to_thread as threads

    real, remembered = threads.run_sync, list[Any]()

    async def run_sync(work: Any, *, abandon_on_cancel: bool = False) -> Any:
        remembered.append(work)
        return await real(work, abandon_on_cancel=abandon_on_cancel)

    monkeypatch.setattr(threads, "run_sync", run_sync)
    flavour.ask(f"{provider.url}/forbidden")
    assert len(remembered) == 3, "a lease, a report, another lease"
    for work in remembered:
        assert [cell.cell_contents for cell in work.__closure__] == [[], []]


@each_flavour
def test_lease_that_must_be_renewed_is_renewed_off_the_loop(
    flavour: Flavour, provider: Provider, broker: FakeBroker, clock: Clock
) -> None:
    flavour.ask(provider.url)
    clock.now += 250
    flavour.ask(provider.url)
    assert len(broker.named("lease.renew")) == 1
