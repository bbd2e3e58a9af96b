"""How does a request go through a transport with the key, and come back without it?

Keys live only in frames that end before an answer or an exception is handed on: a traceback keeps
the frames that an exception came through, so exceptions are returned here, and raised at the top.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any, Callable, NamedTuple, TypeVar

from brokershim.errors import BrokerError
from brokershim.held import Held
from brokershim.holder import Holder
from brokershim.hooks import logs
from brokershim.hooks.errors import cleaned
from brokershim.hooks.rejected import refused_of, report
from brokershim.hooks.requests import keyed, replayable
from brokershim.hooks.responses import guarded, must_read, refusal, scrubbed
from brokershim.hooks.route import check_route
from brokershim.scrub import Scrubber
from brokershim.swap import Found, references

T = TypeVar("T")


class Kit(NamedTuple):
    """What a hop works with.

    Attributes:
        module: httpx or httpx2.
        guard: The wrapper for the streams of its responses.
        holder: Where the keys are.
    """

    module: Any
    guard: Any
    holder: Holder


class SyncHop:
    """Stands in for a transport of ``Client``, for one request that refers to secrets.

    Args:
        kit: What to work with.
        transport: Sends the request.
        found: Where that request holds its references.
    """

    def __init__(self, kit: Kit, transport: Any, found: Found) -> None:
        self._kit = kit
        self._transport = transport
        self._found = found

    def handle_request(self, request: Any) -> Any:
        """Send a request with its keys and return the answer, or a refusal."""
        outcome = self._exchange(request)
        if not isinstance(outcome, BaseException):
            return outcome
        try:
            raise outcome
        finally:
            del outcome  # it holds this frame

    def _exchange(self, request: Any) -> Any:
        module, _, holder = self._kit
        try:
            names = references(self._found)
            leases = _get(holder, names)
            outcome = self._send(request, leases)
            refused = refused_of(outcome, leases)
            if not refused:
                return outcome
            report(holder, refused, outcome.status_code)
            if not replayable(module, request):
                return outcome
            fresh = _get(holder, names)
            return self._send(request, fresh) if _differ(leases, fresh) else outcome
        except BrokerError as error:
            return refusal(module, error)

    def _send(self, request: Any, leases: Mapping[str, Held]) -> Any:
        """Return the answer, or the exception to raise."""
        module, guard, _ = self._kit
        scrubber = _scrubber(leases)
        try:
            check_route(self._transport, request.url)
            outgoing = keyed(module, request, self._found, leases)
            with logs.washed(scrubber):
                response = self._transport.handle_request(outgoing)
                if not must_read(response):
                    return guarded(module, guard, response, scrubber)
                _read(response)
                return scrubbed(module, response, scrubber)
        except BrokerError:
            raise
        except BaseException as error:  # noqa: BLE001 - raised by the caller, outside of its frames
            failure = error
        return cleaned(module, failure, scrubber)


class AsyncHop:
    """Stands in for a transport of ``AsyncClient``; see `SyncHop`."""

    def __init__(self, kit: Kit, transport: Any, found: Found) -> None:
        self._kit = kit
        self._transport = transport
        self._found = found

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request with its keys and return the answer, or a refusal."""
        outcome = await self._exchange(request)
        if not isinstance(outcome, BaseException):
            return outcome
        try:
            raise outcome
        finally:
            del outcome

    async def _exchange(self, request: Any) -> Any:
        module, _, holder = self._kit
        try:
            names = references(self._found)
            leases = await _aget(holder, names)
            outcome = await self._send(request, leases)
            refused = refused_of(outcome, leases)
            if not refused:
                return outcome
            await _off_loop(functools.partial(report, holder, refused, outcome.status_code))
            if not replayable(module, request):
                return outcome
            fresh = await _aget(holder, names)
            return await self._send(request, fresh) if _differ(leases, fresh) else outcome
        except BrokerError as error:
            return refusal(module, error)

    async def _send(self, request: Any, leases: Mapping[str, Held]) -> Any:
        module, guard, _ = self._kit
        scrubber = _scrubber(leases)
        try:
            check_route(self._transport, request.url)
            outgoing = keyed(module, request, self._found, leases)
            with logs.washed(scrubber):
                response = await self._transport.handle_async_request(outgoing)
                if not must_read(response):
                    return guarded(module, guard, response, scrubber)
                await _aread(response)
                return scrubbed(module, response, scrubber)
        except BrokerError:
            raise
        except BaseException as error:  # noqa: BLE001 - raised by the caller, outside of its frames
            failure = error
        return cleaned(module, failure, scrubber)


def _get(holder: Holder, names: Iterable[str]) -> dict[str, Held]:
    return {name: holder.get(name) for name in names}


async def _aget(holder: Holder, names: Iterable[str]) -> dict[str, Held]:
    found: dict[str, Held] = {}
    for name in names:
        lease = holder.warm(name)
        if lease is None:
            lease = await _off_loop(functools.partial(holder.get, name))
        found[name] = lease
    return found


def _differ(leases: Mapping[str, Held], fresh: Mapping[str, Held]) -> bool:
    """Return whether sending again could help: the same key would be refused again."""
    return any(fresh[name].value != lease.value for name, lease in leases.items())


def _scrubber(leases: Mapping[str, Held]) -> Scrubber:
    if len(leases) == 1:  # nearly always, and it costs nothing to use the lease's own
        return next(iter(leases.values())).scrubber
    return Scrubber({}, [lease.scrubber for lease in leases.values()])


def _read(response: Any) -> None:
    try:
        response.read()
    except BaseException:
        response.close()
        raise


async def _aread(response: Any) -> None:
    try:
        await response.aread()
    except BaseException:
        await response.aclose()
        raise


async def _off_loop(work: Callable[[], T]) -> T:
    """Do something that may block in a thread, so that the event loop goes on.

    The work and its result go through boxes that are empty afterwards: an idle worker thread
    keeps its last task in a frame, and with it would keep a lease.
    """
    from anyio import to_thread  # httpx needs anyio; we do not

    run_sync: Any = to_thread.run_sync
    tasks = [work]
    results: list[T] = []

    def run() -> None:
        results.append(tasks.pop()())

    del work
    # A cancelled request must not wait for the daemon. Before anyio 4.1 the word was another.
    new = "abandon_on_cancel" in (run_sync.__kwdefaults__ or {})
    await run_sync(run, **{"abandon_on_cancel" if new else "cancellable": True})
    return results.pop()
