"""How often is AWS asked in a working day? (A program that another part starts.)

    python -m bench.day URL SESSIONS HOURS

The daemon is the real one, in this process, with a clock that jumps from one look at AWS to the
next: nobody waits for eight hours. Every session uses the key all day long. Prints, as JSON, the
calls of Secrets Manager: of the broker; of as many processes that each ask for themselves, as often
as the broker looks; and of as many with AWS's own cache, as it is set by default.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import sys
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest import mock

from brokershim import clock

_time = [10_000.0]
clock.now = lambda: _time[0]  # before anything that reads it is imported

from bench.clouded import SECRET, SECRET_ID  # noqa: E402
from brokerd import daemon as module  # noqa: E402
from brokerd import server  # noqa: E402
from brokerd.daemon import Daemon  # noqa: E402
from brokerd.listener import Listener  # noqa: E402
from tests.support.aws import Aws  # noqa: E402
from tests.support.awsed import awsed  # noqa: E402
from tests.support.daemon import World, new_world  # noqa: E402
from tests.support.inner import InnerClient  # noqa: E402

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_WATCH = 60.0
"""Seconds between two looks: the default."""
_USE_EVERY = 10
"""Looks between two leases of each session."""
_TICK = 0.002
_CONNECTIONS = 1000


def main() -> None:
    """Do what the arguments say."""
    url, sessions, hours = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    aws, looks = Aws(url), int(hours * 3600 / _WATCH)
    with new_world() as world:
        world.grant(SECRET)
        ours, sts = asyncio.run(_ours(world, aws, sessions, looks))
    alone, cached = _alone(aws, looks) * sessions, _cached(aws, looks, sessions)
    print(json.dumps({"ours": ours, "sts": sts, "alone": alone, "cached": cached}))


async def _ours(world: World, aws: Aws, sessions: int, looks: int) -> tuple[int, int]:
    """Return the calls of Secrets Manager and of STS that the broker makes."""
    before = len(aws.calls())
    async with _daemon(world, aws) as daemon:
        clients = [await _session(world) for _ in range(sessions)]
        for look in range(looks):
            if look % _USE_EVERY == 0:
                for each in clients:
                    await each.call("lease.acquire", secret=SECRET)
            await _passed(daemon)
        for each in clients:
            await each.close()
    services = [each["service"] for each in aws.calls()[before:]]
    return services.count("secretsmanager"), services.count("sts")


@contextlib.asynccontextmanager
async def _daemon(world: World, aws: Aws) -> AsyncGenerator[Daemon]:
    backend = awsed(aws, {SECRET: {"secret_id": SECRET_ID}})
    with (
        mock.patch.dict(os.environ, world.environ),
        mock.patch.object(module, "_TICK_SECONDS", _TICK),
        mock.patch.object(module, "_SHORTEST_TICK_SECONDS", _TICK),
        mock.patch.object(server, "MAX_PER_PROCESS", _CONNECTIONS),  # all sessions are of this one
    ):
        daemon = Daemon(Listener(world.socket), [], {"cloud": backend}, lambda _: "cloud")
        ready = asyncio.Event()
        running = asyncio.create_task(daemon.run(ready.set))
        await ready.wait()
        yield daemon
        daemon._stopping.set()
        await running


async def _session(world: World) -> InnerClient:
    client = InnerClient(*await asyncio.open_unix_connection(world.socket))
    await client.call("hello", protocol=1)
    await client.call("session.open", program="/bin/true", env={"OPENAI_API_KEY": SECRET})
    return client


async def _passed(daemon: Daemon) -> None:
    """Let the time until the next look pass, and wait until that is over."""
    _time[0] += _WATCH
    ((_, kept),) = daemon._made.watching._credentials.kept("cloud")
    while kept.looked_at < _time[0] or daemon._made.watching._under_way:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(_TICK)


def _alone(aws: Aws, looks: int) -> int:
    """Return the calls of one process; no other changes what it does."""
    client = aws.client("secretsmanager")
    before = len(aws.calls("GetSecretValue"))
    for _ in range(looks):
        client.get_secret_value(SecretId=SECRET_ID, VersionStage="AWSCURRENT")
    return len(aws.calls("GetSecretValue")) - before


def _cached(aws: Aws, looks: int, sessions: int) -> int:
    """Return the calls of processes that each use the key as often as the broker looks."""
    caching: Any = importlib.import_module("aws_secretsmanager_caching")  # it carries no types
    before, elapsed = len(aws.calls()), [0.0]
    wall = SimpleNamespace(now=lambda _: _EPOCH + timedelta(seconds=elapsed[0]))
    client = aws.client("secretsmanager")
    with mock.patch("aws_secretsmanager_caching.cache.items.datetime", wall):
        caches = [caching.SecretCache(client=client) for _ in range(sessions)]
        for _ in range(looks):
            for cache in caches:
                cache.get_secret_string(SECRET_ID)
            elapsed[0] += _WATCH
    return len(aws.calls()) - before


if __name__ == "__main__":
    main()
