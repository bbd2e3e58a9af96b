"""How does one browser talk to one login? A small HTTP server on the loopback interface.

RFC 8252, sections 7.3 and 8.3. Any program and any web page can reach it, so it reads little, for a
short time, and only what was meant for this address.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from brokerd.identities.oidc import pages
from brokerd.identities.oidc.pages import Page

HEAD_BYTES = 32 * 1024
"""The longest request: a code can be long, and browsers send what cookies this host has."""
SECONDS = 5.0
"""How long a connection may take to say what it wants, and to take the answer."""
CONNECTIONS = 32
_FIELDS = 16


@dataclass(frozen=True)
class Asked:
    """One request. Its repr shows nothing: there may be a code in it.

    Attributes:
        path: What it asks for.
        query: Its parameters.
        port: The port that it is from.
    """

    path: str
    query: Mapping[str, str]
    port: int

    def __repr__(self) -> str:
        """Show no code."""
        return "Asked()"


Answer = Callable[[Asked], Awaitable[Page]]


class Loopback:
    """Listens on a port of 127.0.0.1, from now on until closed.

    Args:
        port: Which; 0 for one that the system chooses.
        host: The name that a browser comes here by. By ``localhost`` it may look at ::1 first, so
            that port is held, too; nobody answers there, and the browser goes on to this one.

    Raises:
        OSError: Something else listens there.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        try:
            self._guard = _held(self.port) if host == "localhost" else None
        except OSError:
            self._socket.close()
            raise
        self.authority = f"{host}:{self.port}"
        self._reading: dict[asyncio.StreamWriter, None] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._open: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serving(self, answer: Answer) -> AsyncGenerator[None]:
        """Answer requests during the block, and then those that were read whole."""

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A task of ours: one that asyncio makes of this logs a traceback as it is cancelled,
            # and anyone may have any number of connections open as the login ends.
            task = asyncio.ensure_future(self._connected(reader, writer, answer))
            self._open.add(task)
            task.add_done_callback(self._open.discard)

        server = await asyncio.start_server(connected, sock=self._socket, limit=HEAD_BYTES)
        try:
            yield
        finally:
            server.close()
            if self._answering:
                await asyncio.wait(self._answering, timeout=SECONDS)

    def close(self) -> None:
        """Listen no more; does nothing the second time."""
        self._socket.close()
        if self._guard is not None:
            self._guard.close()

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer
    ) -> None:
        try:
            head = await self._read(reader, writer)
            if head is not None:
                task = asyncio.ensure_future(self._respond(writer, head, answer))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
                await task
        finally:
            writer.transport.abort()  # does nothing to one that was closed in peace

    async def _read(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        """Return the head of a request; None where it is too long, too slow, or one too many."""
        if len(self._reading) >= CONNECTIONS:
            # The one that has stalled longest: the browser's own is read at once.
            oldest = next(iter(self._reading))
            del self._reading[oldest]
            oldest.transport.abort()
        self._reading[writer] = None
        try:
            async with asyncio.timeout(SECONDS):
                return await reader.readuntil(b"\r\n\r\n")
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return None
        finally:
            self._reading.pop(writer, None)

    async def _respond(self, writer: asyncio.StreamWriter, head: bytes, answer: Answer) -> None:
        asked = self._asked(head, writer.get_extra_info("peername")[1])
        page = asked if isinstance(asked, Page) else await answer(asked)
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(SECONDS):
                writer.write(page.to_bytes())
                await writer.drain()
                writer.close()
                await writer.wait_closed()

    def _asked(self, head: bytes, port: int) -> Asked | Page:
        """Return what a request asks for, or the page that refuses it (RFC 9112, section 3)."""
        line, *fields = head.decode("latin-1").split("\r\n")
        words = line.split(" ")
        if len(words) != 3 or not words[1].startswith("/"):  # noqa: PLR2004
            return pages.NOT_UNDERSTOOD
        if _hosts(fields) != [self.authority]:
            # A name of another site that leads here (DNS rebinding) would make its page ours.
            return pages.WRONG_HOST
        if words[0] != "GET":
            return pages.WRONG_METHOD
        return _split(words[1], port)


def _held(port: int) -> socket.socket | None:
    """Take a port of ::1, and answer nobody; None where this machine has no ::1.

    Another user of this machine would otherwise take it, and have the person's browser. Without
    SO_REUSEADDR, or they could still (socket(7)).
    """
    try:
        guard = socket.socket(socket.AF_INET6)
    except OSError:
        return None
    try:
        guard.bind(("::1", port))
    except OSError as error:
        guard.close()
        if error.errno == errno.EADDRINUSE:
            raise
        return None
    return guard


def _hosts(fields: list[str]) -> list[str]:
    pairs = (each.partition(":") for each in fields)
    return [value.strip() for name, _, value in pairs if name.lower() == "host"]


def _split(target: str, port: int) -> Asked | Page:
    """Return a request's path and query; each parameter once (RFC 6749, section 3.1)."""
    try:
        parts = urlsplit(target)
        pairs = parse_qsl(
            parts.query, keep_blank_values=True, errors="strict", max_num_fields=_FIELDS
        )
    except ValueError:
        return pages.NOT_UNDERSTOOD
    query = dict(pairs)
    return Asked(parts.path, query, port) if len(query) == len(pairs) else pages.NOT_UNDERSTOOD
