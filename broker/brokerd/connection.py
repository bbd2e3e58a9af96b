"""What happens on one connection? Lines in, replies out, and limits that harm only this one."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from brokerd.peer import Peer
from brokershim import __version__, wire
from brokershim.errors import BrokerError, LimitExceeded, PeerGone, WrongProtocol

MAX_IN_FLIGHT = 32
"""Requests that may wait for their replies."""
MAX_FAULTS = 100
"""Requests that break the rules, until the connection is closed."""
MAX_UNSENT = 256 * 1024
"""Bytes of replies that a client may leave unread."""
_CHUNK = 16 * 1024
_log = logging.getLogger(__name__)

Handler = Callable[["Connection", wire.Request], Awaitable[dict[str, Any]]]


class Connection:
    """One client.

    Args:
        number: Names the connection inside the daemon; never used again.
        sock: The accepted socket, non-blocking.
        peer: The process at its other end.
        handler: Carries out a request.
        on_close: Called once, when the connection is over.
        now: The time, in seconds of `brokershim.clock.now`.

    Attributes:
        active_at: When the last whole request came.
    """

    def __init__(
        self,
        number: int,
        sock: socket.socket,
        peer: Peer,
        handler: Handler,
        on_close: Callable[[Connection], None],
        now: Callable[[], float],
    ) -> None:
        self.number = number
        self.peer = peer
        self.open = True
        self.active_at = now()
        self._socket = sock
        self._handler = handler
        self._on_close = on_close
        self._now = now
        self._lines = wire.LineBuffer()
        self._unsent = bytearray()
        self._draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._faults = 0
        self._greeted = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._readable)
        # A forked child may keep the socket open when the peer ends: do not wait for it.
        self._loop.add_reader(peer.pin.fd, self.close)

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Say something unasked."""
        self._send(wire.encode_notification(method, params))

    def close(self) -> None:
        """Close the connection; what is under way finds nobody there."""
        if not self.open:
            return
        self.open = False
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._loop.remove_reader(self.peer.pin.fd)
        self._socket.close()
        self.peer.close()
        self._on_close(self)

    def refuse(self, error: BrokerError) -> None:
        """Say why, and close."""
        self._send(wire.encode_error(None, error))
        self.close()

    def _readable(self) -> None:
        try:
            data = self.peer.receive(self._socket, _CHUNK)
            lines = self._lines.feed(data)
        except BlockingIOError:
            return
        except (PeerGone, LimitExceeded) as error:
            self.refuse(error)
            return
        except OSError:
            self.close()
            return
        if not data:
            self.close()
        for line in lines:
            if self.open:
                self._take(line)

    def _take(self, line: bytes) -> None:
        request_id: wire.RequestId | None = None
        try:
            message = wire.decode(line)
            request_id = wire.request_id_of(message)
            request = wire.request_of(message)
            if self._greeted:
                self._start(request)
            else:
                self._greet(request)
        except BrokerError as error:
            self._fault(request_id, error)

    def _greet(self, request: wire.Request) -> None:
        """Agree on the protocol, before anything else is done."""
        params = request.params
        if request.method != "hello" or not set(params) <= {"protocol", "client"}:
            raise WrongProtocol("the first request is not hello")
        asked = params.get("protocol")
        if type(asked) is not int or asked != wire.PROTOCOL:  # true is 1, to Python
            raise WrongProtocol(
                f"this daemon speaks protocol {wire.PROTOCOL} only",
                details={"supported": [wire.PROTOCOL]},
            )
        self._greeted = True
        hello = {"protocol": wire.PROTOCOL, "server": f"brokerd/{__version__}"}
        self._send(wire.encode_result(request.id, hello))

    def _fault(self, request_id: wire.RequestId | None, error: BrokerError) -> None:
        """Answer a request that broke a rule, and give up on a client that does only that."""
        self._faults += 1
        self._send(wire.encode_error(request_id, error))
        if isinstance(error, WrongProtocol) or not self._greeted:
            self.close()
        elif self._faults >= MAX_FAULTS:
            self.refuse(LimitExceeded(f"{MAX_FAULTS} requests on this connection broke a rule"))

    def _start(self, request: wire.Request) -> None:
        self.active_at = self._now()
        if len(self._tasks) >= MAX_IN_FLIGHT:
            raise LimitExceeded(f"{MAX_IN_FLIGHT} requests wait for their replies already")
        work = self._handler(self, request)
        task = self._loop.create_task(self._carry_out(request.id, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, number: wire.RequestId, work: Awaitable[dict[str, Any]]) -> None:
        try:
            self._send(wire.encode_result(number, await work))
        except BrokerError as error:
            self._send(_refusal(number, error))
        except Exception as error:  # noqa: BLE001  (a client must hear of it, and in our words)
            self._send(wire.encode_error(number, _unexpected(error)))

    def _send(self, line: bytes) -> None:
        """Send now what the socket takes, and the rest as it drains."""
        if not self.open:
            return
        self._unsent += line
        self._flush()
        if len(self._unsent) > MAX_UNSENT:
            self.close()

    def _flush(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        del self._unsent[:sent]
        if bool(self._unsent) is not self._draining:
            self._draining = not self._draining
            if self._draining:
                self._loop.add_writer(self._socket.fileno(), self._flush)
            else:
                self._loop.remove_writer(self._socket.fileno())


def _refusal(number: wire.RequestId, error: BrokerError) -> bytes:
    """Return the line that says why not, or that the reason is too long: it may repeat a path."""
    try:
        return wire.encode_error(number, error)
    except LimitExceeded as too_long:
        return wire.encode_error(number, too_long)


def _unexpected(error: Exception) -> BrokerError:
    """Log the kind and place of an error that no one foresaw, and return what may go out.

    Not its words: they could hold a parameter, and so a key.
    """
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "?"
    _log.error("internal error: %s at %s", type(error).__name__, place)
    return BrokerError("the daemon met an error of its own")
