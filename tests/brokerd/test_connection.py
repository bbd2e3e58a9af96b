from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from brokerd.connection import Connection
from brokershim import wire
from brokershim.errors import NotGranted
from tests.support.puppet import Stage
from tests.support.raw import HELLO, request
from tests.support.serving import echo, in_a_loop, serving, settle, until


@in_a_loop
async def test_the_first_call_may_come_with_the_greeting() -> None:
    async with serving(echo) as served:
        talk = await served.client(greeted=False)
        talk.send(HELLO + request("first", 1, a="b"))
        hello = await talk.reply()
        assert hello["result"]["protocol"] == wire.PROTOCOL
        assert hello["result"]["server"].startswith("brokerd/")
        assert await talk.reply() == {
            "jsonrpc": "2.0",
            "id": 1,
            "result": {"method": "first", "connection": 1, "a": "b"},
        }


@in_a_loop
async def test_a_slow_request_holds_up_no_other() -> None:
    release = asyncio.Event()

    async def slow(connection: Connection, asked: wire.Request) -> dict[str, Any]:
        if asked.method == "slow":
            await release.wait()
        return await echo(connection, asked)

    async with serving(slow) as served:
        talk = await served.client()
        talk.send(request("slow", 1) + request("quick", 2))
        assert (await talk.reply())["id"] == 2
        release.set()
        assert (await talk.reply())["id"] == 1


@in_a_loop
async def test_an_error_of_ours_goes_out_as_it_is() -> None:
    async def refuse(_: Connection, asked: wire.Request) -> dict[str, Any]:
        raise NotGranted(f"no {asked.method}", hint="try less", details={"more": 1})

    async with serving(refuse) as served:
        talk = await served.client()
        talk.send(request("x", "id"))
        found = await talk.reply()
        assert found["id"] == "id"
        assert found["error"] == {
            "code": NotGranted.code,
            "message": "no x",
            "data": {"kind": "denied.not_granted", "hint": "try less", "more": 1},
        }


@pytest.mark.parametrize("problem", [ValueError, KeyError, RuntimeError, OSError, RecursionError])
@in_a_loop
async def test_an_error_that_no_one_foresaw_says_nothing_of_its_words(
    problem: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    async def break_down(_: Connection, asked: wire.Request) -> dict[str, Any]:
        raise problem(f"with {asked.params['key']}") from ValueError(asked.params["key"])

    async with serving(break_down) as served:
        talk = await served.client()
        with caplog.at_level(logging.DEBUG):
            talk.send(request("x", 1, key="sk-secret"))
            found = await talk.reply()
        assert found["error"]["data"]["kind"] == "internal"
        assert "sk-secret" not in str(found)
        assert "sk-secret" not in caplog.text
        assert f"{problem.__name__} at {__file__}" in caplog.text
        talk.send(request("x", 2, key="sk-secret"))  # the connection goes on
        assert (await talk.reply())["id"] == 2


@in_a_loop
async def test_what_does_not_fit_a_line_is_an_error_and_not_silence() -> None:
    async def long(_: Connection, asked: wire.Request) -> dict[str, Any]:
        if asked.method == "error":
            raise NotGranted("漢" * 20_000)
        return {"long": "x" * wire.MAX_LINE}

    async with serving(long) as served:
        talk = await served.client()
        for method in ("result", "error"):
            talk.send(request(method))
            assert await talk.kind() == "bad_request.limit"


@in_a_loop
async def test_a_notification_comes_between_replies_and_not_inside_one() -> None:
    async with serving(echo) as served:
        talk = await served.client()
        talk.send(request("first")[:10])
        await settle()
        served.server.notify(1, "lease.revoked", {"lease": "x"})
        assert await talk.reply() == {
            "jsonrpc": "2.0",
            "method": "lease.revoked",
            "params": {"lease": "x"},
        }
        talk.send(request("first")[10:])
        assert (await talk.reply())["result"]["method"] == "first"


@in_a_loop
async def test_what_is_under_way_finds_nobody_there() -> None:
    release, done = asyncio.Event(), asyncio.Event()

    async def slow(connection: Connection, asked: wire.Request) -> dict[str, Any]:
        await release.wait()
        assert not connection.open
        done.set()
        return await echo(connection, asked)

    async with serving(slow) as served:
        talk = await served.client()
        talk.send(request("x"))
        await settle()
        await talk.close()
        await settle()
        assert served.closed == [1]
        release.set()
        await asyncio.wait_for(done.wait(), 5)
        await settle()


@in_a_loop
async def test_it_is_over_when_its_process_is_though_a_child_keeps_the_socket(
    stage: Stage,
) -> None:
    async with serving(echo) as served:
        parents = [stage.enter() for _ in range(2)]
        for parent in parents:
            parent.do("s = socket.socket(socket.AF_UNIX)")
        children = [parent.fork() for parent in parents]
        # One after the other: the second has the descriptors' numbers that the first had.
        for parent, child in zip(parents, children, strict=True):
            parent.do("s.connect(given['path'])", path=served.path)
            await until(lambda: len(served.server) == 1)
            parent.exit()
            await until(lambda: len(served.server) == 0)
            assert child.get("s.recv(100) == b''")
        assert served.closed == [1, 2]


@in_a_loop
async def test_a_child_that_writes_ends_its_parents_connection_and_is_told_why(
    stage: Stage,
) -> None:
    async with serving(echo) as served:
        parent = stage.enter()
        parent.do("s = socket.socket(socket.AF_UNIX); s.connect(given['path'])", path=served.path)
        child = parent.fork()
        child.do("s.sendall(given['words'].encode())", words=(HELLO + request("x")).decode())
        await until(lambda: served.closed == [1])
        answer = parent.get("s.recv(65536).decode()")
        assert '"kind":"denied.peer_gone"' in answer
        assert '"result"' not in answer
