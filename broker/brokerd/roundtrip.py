"""How does one request go to a server over HTTP, and its answer come back, within limits?

Each goes over a connection of its own. Exchanges are minutes apart, and when a kept connection
breaks nobody can tell whether the request was taken (RFC 9112, section 9.3.1), so that a token
which may be sent only once could neither be sent again nor be given up.

No proxy, whatever the environment says: a variable that any shell profile may set must not
decide who gets to see tokens.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from brokerd.lost import Lost, lost
from brokerd.reaching import reach
from brokerd.trust import Trust
from brokershim.errors import BrokerError, ServerDown

MAX_BYTES = 1024 * 1024
"""The longest answer that is read: discovery documents and tokens are far shorter."""
CONNECT_SECONDS = 5.0
"""How long one address of a server may take to accept a connection."""
TOTAL_SECONDS = 15.0
"""How long all of it may take: a server that sends a byte now and then never times out."""

_SYSTEM = Trust()
_HEADERS = {
    "accept": "application/json",
    "accept-encoding": "identity",  # what it unpacks to would have no limit
    "connection": "close",
    "user-agent": "brokerctl",
}
_HEADER = re.compile(r"[a-z0-9_-]+:[ -~]*")
"""``x-amz-sso_bearer_token`` has an underscore; a line end would begin another header."""


@dataclass(frozen=True)
class Answer:
    """What came back. Its repr shows no body, which may hold tokens."""

    status: int
    headers: http.client.HTTPMessage = field(repr=False)
    body: bytes = field(repr=False)


class RoundTrip:
    """One request, and its answer.

    Args:
        method: Such as ``POST``.
        url: One that passed `brokerd.http.check_url`.
        headers: Of the request, beside those that each has.
        body: What to send; None for nothing.
        trust: How the server proves who it is.
        longest: Bytes of an answer's body that are read.

    Raises:
        BrokerError: A header cannot be sent; with a line end in it, it would be two.
    """

    def __init__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        trust: Trust = _SYSTEM,
        longest: int = MAX_BYTES,
    ) -> None:
        self._parts = urlsplit(url)
        asked = {**_HEADERS, **headers}
        if not all(_HEADER.fullmatch(f"{name}:{value}") for name, value in asked.items()):
            raise BrokerError(f"a header for {self._host} cannot be sent")
        # With a port, always: without one, http.client takes the end of an IPv6 address for it.
        port = self._parts.port or (443 if self._parts.scheme == "https" else 80)
        self._address = self._parts.hostname or "", port
        self._line = (method, _target(self._parts), body, asked)
        self._trust, self._longest = trust, longest
        self._socket: socket.socket | None = None
        self._late = self._sent = False

    def make(self, seconds: float | None = None, opening: float | None = None) -> Answer | Lost:
        """Send the request and return what came of it.

        What the libraries raise is not passed on: it may repeat what the server said, and a
        server may repeat a token.

        Args:
            seconds: How long all of it may take; None for `TOTAL_SECONDS`.
            opening: How long the server may take to accept a connection, and then for each step
                of securing it; None for all there is.

        Raises:
            BrokerError: As `Trust.context`; nothing is sent.
        """
        self._seconds = TOTAL_SECONDS if seconds is None else seconds
        self._opening = self._seconds if opening is None else opening
        timer = threading.Timer(self._seconds, self._hang_up)
        timer.daemon = True
        timer.start()
        try:
            return self._ask()
        except (OSError, http.client.HTTPException) as error:
            failure = error
        finally:
            timer.cancel()
            if self._socket is not None:
                self._socket.close()
        return lost(self._host, self._name, TimeoutError() if self._late else failure, self._sent)

    def _ask(self) -> Answer | Lost:
        context = self._trust.context() if self._parts.scheme == "https" else None
        reached = reach(self._address, CONNECT_SECONDS, self._opening)
        reached.settimeout(self._opening)
        self._socket = reached
        connection = self._plain(reached) if context is None else self._secured(reached, context)
        if self._late:  # before there was a connection to hang up
            raise TimeoutError
        self._socket.settimeout(self._seconds)
        self._sent = True
        self._send(connection)
        with connection.getresponse() as response:
            return self._read(response)

    def _send(self, connection: http.client.HTTPConnection) -> None:
        method, target, body, headers = self._line
        try:
            connection.request(method, target, body, headers)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            # It takes no more, and may have said why, in an answer (RFC 9112, section 9.5) or in
            # an alert of TLS. Where it has not, reading that fails, too.
            return

    def _plain(self, reached: socket.socket) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(*self._address)
        connection.sock = reached
        return connection

    def _secured(
        self, reached: socket.socket, context: ssl.SSLContext
    ) -> http.client.HTTPConnection:
        secured = context.wrap_socket(
            reached, server_hostname=self._name, do_handshake_on_connect=False
        )
        self._socket = secured  # before the handshake: that one, too, can be hung up on
        secured.do_handshake()
        connection = http.client.HTTPSConnection(*self._address, context=context)
        connection.sock = secured
        return connection

    def _read(self, response: http.client.HTTPResponse) -> Answer | Lost:
        # Into a buffer of ours: read() takes a chunk of -1 bytes for all there is, without end.
        body = bytearray(self._longest + 1)
        length = response.readinto(body)
        if self._late:
            raise TimeoutError
        if length > self._longest:
            excess = ServerDown(f"{self._host} answers more than {self._longest} bytes")
            return Lost(excess, sent=True, again=False)
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return Answer(response.status, response.headers, bytes(body[:length]))

    def _hang_up(self) -> None:
        self._late = True
        if self._socket is not None:
            try:
                # The plain one's: SSLSocket's own takes TLS away under who is reading.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)
            except OSError:
                return  # over already

    @property
    def _host(self) -> str:
        return self._parts.netloc

    @property
    def _name(self) -> str:
        """What the server's certificate has to be for."""
        return self._trust.server_name or self._address[0]


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
