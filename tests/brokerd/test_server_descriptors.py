"""What if there are no descriptors left?"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
from typing import Any
from unittest import mock

from brokerd import server as module
from brokerd.server import MAX_CONNECTIONS
from tests.support.raw import request
from tests.support.require import require_linux
from tests.support.serving import echo, in_a_loop, serving, settle, until


class _Tired(socket.socket):
    """A listener whose accept fails as often as a test says."""

    failures = 0

    def accept(self) -> tuple[socket.socket, Any]:
        if self.failures:
            type(self).failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@in_a_loop
async def test_without_descriptors_an_idle_connection_makes_room() -> None:
    with mock.patch("tests.support.serving.socket.socket", _Tired):
        async with serving(echo) as served:
            idle = await served.client()
            _Tired.failures = 1
            newcomer = await served.client()
            assert await idle.kind() == "bad_request.limit"
            newcomer.send(request("x"))
            assert (await newcomer.reply())["id"] == 1


@in_a_loop
async def test_without_descriptors_and_with_nobody_idle_it_waits_and_does_not_spin() -> None:
    with (
        mock.patch("tests.support.serving.socket.socket", _Tired),
        mock.patch.object(module, "_PAUSE_SECONDS", 0.02),
    ):
        async with serving(echo) as served:
            _Tired.failures = 3
            began = asyncio.get_running_loop().time()
            newcomer = await served.client()  # greeted, after three pauses
            assert asyncio.get_running_loop().time() - began >= 3 * 0.02
            newcomer.send(request("x"))
            assert (await newcomer.reply())["id"] == 1


@in_a_loop
async def test_a_pause_does_not_outlive_the_end() -> None:
    with (
        mock.patch("tests.support.serving.socket.socket", _Tired),
        mock.patch.object(module, "_PAUSE_SECONDS", 0.0),
    ):
        async with serving(echo) as served:
            _Tired.failures = 1
            with mock.patch.object(served.server, "start") as start:
                await served.client(greeted=False)
                await until(lambda: not _Tired.failures)
                served.server.stop()
                await settle()
                start.assert_not_called()


def _room_with(soft: int, hard: int) -> tuple[int, mock.Mock]:
    with (
        mock.patch.object(resource, "getrlimit", return_value=(soft, hard)),
        mock.patch.object(resource, "setrlimit") as raised,
    ):
        return module._room(), raised


def test_the_limit_on_descriptors_is_raised_as_far_as_it_is_needed() -> None:
    most, raised = _room_with(1024, 1_048_576)
    assert most == MAX_CONNECTIONS
    raised.assert_called_once_with(resource.RLIMIT_NOFILE, (4 * MAX_CONNECTIONS + 64, 1_048_576))


def test_a_limit_that_is_high_enough_stays() -> None:
    for unlimited in (1_048_576, resource.RLIM_INFINITY):
        most, raised = _room_with(unlimited, unlimited)
        assert most == MAX_CONNECTIONS
        raised.assert_not_called()


def test_a_low_limit_means_fewer_connections() -> None:
    most, raised = _room_with(256, 1024)
    assert most == (1024 - 64) // 4
    raised.assert_called_once_with(resource.RLIMIT_NOFILE, (1024, 1024))


@in_a_loop
async def test_a_connection_costs_as_many_descriptors_as_it_is_counted_for() -> None:
    require_linux()
    async with serving(echo) as served:
        before = len(os.listdir("/proc/self/fd"))
        await served.client()
        ours = len(os.listdir("/proc/self/fd")) - before - 1  # less the client's own end
        assert ours <= module._FDS_EACH - 1  # and one more for a session's pin
