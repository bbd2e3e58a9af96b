from __future__ import annotations

import errno
import os
from unittest import mock

import pytest

from brokerd import server as module
from brokerd.server import MAX_CONNECTIONS, MAX_PER_PROCESS
from brokershim.errors import ForeignUser, PeerGone
from tests.support.puppet import Stage
from tests.support.raw import request
from tests.support.require import require_linux
from tests.support.serving import Serving, echo, in_a_loop, serving, settle, until


@in_a_loop
async def test_connections_are_numbered_and_a_number_is_never_used_again() -> None:
    async with serving(echo) as served:
        for number in (1, 2, 3):
            talk = await served.client()
            talk.send(request("x"))
            assert (await talk.reply())["result"]["connection"] == number
            await talk.close()
            await settle()
        assert served.closed == [1, 2, 3]
        assert len(served.server) == 0


@in_a_loop
async def test_one_process_gets_so_many_and_no_more() -> None:
    async with serving(echo) as served:
        talks = [await served.client() for _ in range(MAX_PER_PROCESS)]
        refused = await served.client(greeted=False)
        assert await refused.kind() == "bad_request.limit"
        assert await refused.is_over()
        await talks[0].close()
        await settle()
        again = await served.client()
        again.send(request("x"))
        assert (await again.reply())["id"] == 1


@in_a_loop
async def test_processes_are_counted_each_for_itself(stage: Stage) -> None:
    with mock.patch.object(module, "MAX_PER_PROCESS", 1):
        async with serving(echo) as served:
            await served.client()
            puppet = stage.enter()
            puppet.do(
                "s = socket.socket(socket.AF_UNIX); s.connect(given['path'])", path=served.path
            )
            await until(lambda: len(served.server) == 2)
            puppet.exit()
            await until(lambda: len(served.server) == 1)
            assert served.server._by_process == {os.getpid(): 1}


def _few(served: Serving, number: int) -> None:
    served.server._most = number


@in_a_loop
async def test_a_full_house_lets_the_longest_idle_go() -> None:
    async with serving(echo) as served:
        _few(served, 3)
        talks = []
        for _ in range(3):
            served.now += 1
            talks.append(await served.client())
        served.now += 1
        talks[0].send(request("x"))
        await talks[0].reply()
        newcomer = await served.client()
        assert await talks[1].kind() == "bad_request.limit"
        assert await talks[1].is_over()
        newcomer.send(request("x"))
        assert (await newcomer.reply())["id"] == 1
        assert served.closed == [2]


@in_a_loop
async def test_who_holds_something_stays_in_a_full_house() -> None:
    async with serving(echo) as served:
        _few(served, 2)
        holder = await served.client()
        served.holding.add(1)
        served.now += 1000
        idle = await served.client()
        await served.client()
        assert await idle.kind() == "bad_request.limit"
        holder.send(request("x"))
        assert (await holder.reply())["id"] == 1


@in_a_loop
async def test_a_house_full_of_holders_takes_nobody_in() -> None:
    async with serving(echo) as served:
        _few(served, 2)
        served.holding.update({1, 2})
        holders = [await served.client(), await served.client()]
        refused = await served.client(greeted=False)
        assert await refused.kind() == "bad_request.limit"
        assert await refused.is_over()
        for each in holders:
            each.send(request("x"))
            assert (await each.reply())["id"] == 1


@pytest.mark.parametrize("refusal", [ForeignUser("other"), PeerGone("gone")])
@in_a_loop
async def test_who_is_refused_hears_why_and_is_reported(refusal: ForeignUser | PeerGone) -> None:
    with mock.patch.object(module, "Peer", side_effect=refusal):
        async with serving(echo) as served:
            talk = await served.client(greeted=False)
            assert await talk.kind() == refusal.kind
            assert await talk.is_over()
            assert served.refused == [refusal]
            assert len(served.server) == 0


@in_a_loop
async def test_who_cannot_be_looked_at_is_not_served() -> None:
    problem = OSError(errno.EMFILE, "Too many open files")
    async with serving(echo) as served:
        with mock.patch.object(module, "Peer", side_effect=problem):
            talk = await served.client(greeted=False)
            assert await talk.is_over()
        assert len(served.server) == 0
        await served.client()  # and the next is


@in_a_loop
async def test_what_is_open_goes_on_after_the_door_is_shut() -> None:
    async with serving(echo) as served:
        talk = await served.client()
        served.server.stop()
        late = await served.client(greeted=False)
        await settle()
        talk.send(request("x"))
        assert (await talk.reply())["id"] == 1
        assert len(served.server) == 1
        served.server.close()
        assert await talk.is_over()
        assert late.reader.at_eof() is False


@in_a_loop
async def test_a_word_to_a_connection_that_is_gone_is_lost() -> None:
    async with serving(echo) as served:
        served.server.notify(99, "lease.revoked", {"lease": "x"})
        assert len(served.server) == 0


@in_a_loop
async def test_a_connection_that_is_over_or_refused_costs_nothing() -> None:
    require_linux()
    async with serving(echo) as served:
        first = await served.client()
        before = len(os.listdir("/proc/self/fd"))
        second = await served.client()
        await second.close()
        with mock.patch.object(module, "MAX_PER_PROCESS", 1):
            refused = await served.client(greeted=False)
            assert await refused.kind() == "bad_request.limit"
            await refused.close()
        _few(served, 1)
        served.holding.add(1)
        refused = await served.client(greeted=False)
        assert await refused.kind() == "bad_request.limit"
        await refused.close()
        await settle()
        assert len(os.listdir("/proc/self/fd")) == before
        first.send(request("x"))
        assert (await first.reply())["id"] == 1


def test_the_limits_are_those_of_the_protocol() -> None:
    assert (MAX_CONNECTIONS, MAX_PER_PROCESS) == (1024, 16)
