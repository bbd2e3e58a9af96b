"""The daemon's server inside the test's own event loop, with a clock that the test sets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import tempfile
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from brokerd import peer
from brokerd.connection import Connection, Handler
from brokerd.server import Server
from brokershim import wire
from brokershim.errors import BrokerError
from tests.support.raw import HELLO

_SECONDS = 10.0
_LONGEST = 1 << 20


@dataclass
class Serving:
    """A server, and what it said about its connections.

    Attributes:
        now: The time; set it.
        holding: Numbers of connections that hold something.
    """

    path: str
    listener: socket.socket
    now: float = 1000.0
    holding: set[int] = field(default_factory=set)
    closed: list[int] = field(default_factory=list)
    refused: list[BrokerError] = field(default_factory=list)
    talks: list[Talk] = field(default_factory=list)
    server: Server = field(init=False)

    def open(self, handler: Handler) -> None:
        """Begin to serve."""
        self.server = Server(
            self.listener,
            handler,
            self.holding.__contains__,
            self.closed.append,
            self.refused.append,
            lambda: self.now,
        )
        self.server.start()

    async def client(self, *, greeted: bool = True) -> Talk:
        """Connect."""
        talk = Talk(*await asyncio.open_unix_connection(self.path, limit=_LONGEST))
        self.talks.append(talk)
        if greeted:
            talk.send(HELLO)
            assert (await talk.reply())["id"] == 0
        return talk


@dataclass
class Talk:
    """One client of it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    async def reply(self) -> dict[str, Any]:
        """Return the next line, empty at the end."""
        try:
            line = await asyncio.wait_for(self.reader.readline(), _SECONDS)
        except ConnectionError:
            line = b""
        found = json.loads(line or b"{}")
        assert isinstance(found, dict)
        return found

    async def kind(self) -> str:
        """Return the kind of the error that comes next."""
        return str((await self.reply())["error"]["data"]["kind"])

    async def is_over(self) -> bool:
        """Return whether nothing comes any more but the end."""
        return await self.reply() == {}

    async def close(self) -> None:
        """Hang up."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):  # the other end was quicker
            await self.writer.wait_closed()


@asynccontextmanager
async def serving(handler: Handler) -> AsyncGenerator[Serving]:
    """Serve, and end it all."""
    with tempfile.TemporaryDirectory(prefix="serving-") as folder:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setblocking(False)
        listener.bind(os.path.join(folder, "s"))
        peer.prepare(listener)
        listener.listen(64)
        found = Serving(os.path.join(folder, "s"), listener)
        found.open(handler)
        try:
            yield found
        finally:
            for talk in found.talks:
                await talk.close()
            found.server.stop()
            found.server.close()
            listener.close()


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in an event loop of its own."""

    @wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


async def echo(connection: Connection, request: wire.Request) -> dict[str, Any]:
    """Answer with what came."""
    return {"method": request.method, "connection": connection.number, **request.params}


async def settle(turns: int = 20) -> None:
    """Let the loop do what it has to do."""
    for _ in range(turns):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that another process brings about; too long is a failure."""
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")
