"""What harms only the connection that does it?"""

from __future__ import annotations

import asyncio
from typing import Any

from brokerd import connection as module
from brokerd.connection import MAX_FAULTS, MAX_IN_FLIGHT, MAX_UNSENT, Connection
from brokerd.server import IDLE_SECONDS
from brokershim import wire
from brokershim.errors import NotGranted
from tests.support.raw import request
from tests.support.serving import echo, in_a_loop, serving, settle, until


@in_a_loop
async def test_requests_beyond_the_limit_in_flight_are_refused_one_by_one() -> None:
    release = asyncio.Event()

    async def stuck(connection: Connection, asked: wire.Request) -> dict[str, Any]:
        if asked.method == "stuck":
            await release.wait()
        return await echo(connection, asked)

    async with serving(stuck) as served:
        talk, other = await served.client(), await served.client()
        talk.send(b"".join(request("stuck", n) for n in range(MAX_IN_FLIGHT + 2)))
        for n in (MAX_IN_FLIGHT, MAX_IN_FLIGHT + 1):
            refused = await talk.reply()
            assert refused["id"] == n
            assert refused["error"]["data"]["kind"] == "bad_request.limit"
        other.send(request("quick"))
        assert (await other.reply())["result"]["method"] == "quick"
        release.set()
        answered = {(await talk.reply())["id"] for _ in range(MAX_IN_FLIGHT)}
        assert answered == set(range(MAX_IN_FLIGHT))
        talk.send(request("quick"))  # and there is room again
        assert (await talk.reply())["result"]["method"] == "quick"


@in_a_loop
async def test_a_client_that_never_reads_is_given_up() -> None:
    async def long(_: Connection, __: wire.Request) -> dict[str, Any]:
        return {"long": "x" * 60_000}

    async with serving(long) as served:
        lazy = await served.client()
        lazy.writer.transport.pause_reading()  # type: ignore[attr-defined]
        connection = next(iter(served.server._connections.values()))
        for n in range(40):
            lazy.send(request("x", n))
            await settle()
            assert len(connection._unsent) <= MAX_UNSENT + wire.MAX_LINE
        assert served.closed == [1]
        assert len(served.server) == 0


@in_a_loop
async def test_a_client_that_reads_late_gets_everything_in_order() -> None:
    async def long(_: Connection, asked: wire.Request) -> dict[str, Any]:
        return {"id": asked.id, "long": "x" * 60_000}

    async with serving(long) as served:
        talk = await served.client()
        talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for n in range(6):
            talk.send(request("x", n))
            await settle()
        connection = next(iter(served.server._connections.values()))
        assert connection._unsent
        talk.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert [(await talk.reply())["result"]["id"] for _ in range(6)] == list(range(6))
        talk.send(request("x", 7))
        assert (await talk.reply())["id"] == 7


@in_a_loop
async def test_a_stalled_client_is_closed_after_its_time() -> None:
    async with serving(echo) as served:
        stalled = await served.client()
        stalled.send(request("never finished")[:30])
        await settle()
        served.now += IDLE_SECONDS
        served.server.close_idle()
        assert served.closed == []
        served.now += 0.1
        served.server.close_idle()
        assert await stalled.kind() == "bad_request.limit"
        assert await stalled.is_over()


@in_a_loop
async def test_bytes_that_complete_no_request_buy_no_time() -> None:
    async with serving(echo) as served:
        slow, busy = await served.client(), await served.client()
        for byte in request("x")[:11]:
            assert served.closed == []
            slow.send(bytes([byte]))
            served.now += IDLE_SECONDS / 10
            busy.send(request("y"))
            await busy.reply()
            served.server.close_idle()
        assert served.closed == [1]
        assert await slow.kind() == "bad_request.limit"


@in_a_loop
async def test_a_client_that_holds_something_may_be_silent() -> None:
    async with serving(echo) as served:
        talk = await served.client()
        served.holding.add(1)
        served.now += 1_000_000
        served.server.close_idle()
        talk.send(request("x"))
        assert (await talk.reply())["id"] == 1


@in_a_loop
async def test_a_client_that_only_breaks_rules_is_given_up() -> None:
    async with serving(echo) as served:
        talk = await served.client()
        for n in range(MAX_FAULTS):
            talk.send(b'{"broken":\n')
            assert await talk.kind() == "bad_request.malformed", n
        assert await talk.kind() == "bad_request.limit"
        assert await talk.is_over()


@in_a_loop
async def test_what_stands_behind_the_last_straw_is_not_carried_out() -> None:
    carried_out: list[str] = []

    async def note(connection: Connection, asked: wire.Request) -> dict[str, Any]:
        carried_out.append(asked.method)
        return await echo(connection, asked)

    async with serving(note) as served:
        talk = await served.client()
        talk.send(b"x\n" * MAX_FAULTS + request("too late"))
        await until(lambda: served.closed == [1])
        await settle()
        assert carried_out == []


@in_a_loop
async def test_a_refusal_of_ours_breaks_no_rule_of_the_clients() -> None:
    async def refuse(_: Connection, __: wire.Request) -> dict[str, Any]:
        raise NotGranted("no")

    async with serving(refuse) as served:
        talk = await served.client()
        for n in range(2 * MAX_FAULTS):
            talk.send(request("x", n))
            assert (await talk.reply())["id"] == n


def test_the_limits_are_those_of_the_protocol() -> None:
    found = (module.MAX_IN_FLIGHT, module.MAX_UNSENT, IDLE_SECONDS, wire.MAX_LINE)
    assert found == (32, 256 * 1024, 120.0, 65_536)
