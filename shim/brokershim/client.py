"""How does a process talk to the daemon? One blocking connection, and nothing cached.

The connection belongs to the process that made it: the daemon compares the sender of every
message with the one that connected, so neither a forked child nor a stranger can use it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from typing import Any, Callable, cast

from brokershim import __version__, wire
from brokershim.address import address_of
from brokershim.errors import BrokerError, DaemonUnreachable, MalformedRequest, from_wire
from brokershim.ownership import check_private_dir
from brokershim.paths import socket_path

CALL_SECONDS = 60.0
"""How long a call may take; a keyring may have to ask a person."""
_QUEUE_SECONDS = 0.005
_HELLO = 0
_CHUNK = wire.MAX_LINE

Notify = Callable[[str, dict[str, Any]], None]


class Client:
    """One connection to the daemon.

    Args:
        path: The socket; where XDG says it stands if not given.
        timeout: Seconds that connecting, or one call, may take.
        notify: Called with the method and params of each thing the daemon says unasked.

    Raises:
        DaemonUnreachable: Nothing listens there.
        InsecurePath: The socket's folder is not ours alone, so neither is what listens in it.
    """

    def __init__(
        self,
        path: str | None = None,
        *,
        timeout: float = CALL_SECONDS,
        notify: Notify | None = None,
    ) -> None:
        self._notify = notify or _ignore
        self._lines = wire.LineBuffer()
        self._ready: list[bytes] = []
        self._last_id = _HELLO
        self._timeout = timeout
        self._socket = _connect(path or socket_path(), timeout)
        hello = {"protocol": wire.PROTOCOL, "client": f"brokershim/{__version__}"}
        # Sent along with the first call: the greeting costs no round trip of its own.
        self._unsent = wire.encode_request(wire.Request(_HELLO, "hello", hello))

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of docs/protocol.md and return its result.

        Raises:
            DaemonUnreachable: The connection broke, or no reply came in time. The connection
                is closed.
            BrokerError: What the daemon answered, as the class of its kind.
        """
        self._last_id += 1
        request = wire.Request(self._last_id, method, params)
        try:
            self._socket.settimeout(self._timeout)
            with contextlib.suppress(BrokenPipeError):  # the daemon said why before it closed
                self._socket.sendall(self._unsent + wire.encode_request(request))
            self._unsent = b""
            return self._reply(request.id)
        except OSError as error:
            self.close()
            raise DaemonUnreachable(f"no reply from the daemon ({_reason(error)})") from None

    def drain(self) -> None:
        """Hand on what the daemon said unasked, without waiting.

        Raises:
            DaemonUnreachable: The daemon has closed the connection.
        """
        try:
            if self._socket.gettimeout():  # a call was the last to use it
                self._socket.setblocking(False)
            while True:
                self._receive()
        except BlockingIOError:
            pass
        except OSError as error:
            self.close()
            raise DaemonUnreachable(f"the daemon is gone ({_reason(error)})") from None
        ready, self._ready = self._ready, []
        for line in ready:
            self._take(wire.decode(line), wanted=None)

    def close(self) -> None:
        """Close the connection; the daemon then ends the leases taken over it."""
        self._socket.close()

    def fileno(self) -> int:
        """Return the socket's descriptor, or -1 once closed."""
        return self._socket.fileno()

    def _reply(self, wanted: wire.RequestId) -> dict[str, Any]:
        while True:
            while self._ready:
                result = self._take(wire.decode(self._ready.pop(0)), wanted)
                if result is not None:
                    return result
            self._receive()

    def _receive(self) -> None:
        data = self._socket.recv(_CHUNK)
        if not data:
            raise ConnectionResetError("closed by the daemon")
        self._ready += self._lines.feed(data)

    def _take(
        self, message: dict[str, Any], wanted: wire.RequestId | None
    ) -> dict[str, Any] | None:
        """Handle one message; return the result where it is the reply that is waited for."""
        if "method" in message:
            self._notify(str(message["method"]), dict(message.get("params") or {}))
            return None
        if "error" in message and message.get("id") in (wanted, _HELLO, None):
            raise _error(message["error"])
        if wanted is None or message.get("id") != wanted:
            return None
        result = message.get("result")
        if not isinstance(result, dict):
            raise MalformedRequest("the daemon's reply is not an object")
        return cast("dict[str, Any]", result)


def _connect(path: str, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        check_private_dir(os.path.dirname(path))
        with address_of(path) as address:
            _enter(connection, address, timeout)
    except OSError as error:
        connection.close()
        raise DaemonUnreachable(f"no daemon listens on {path} ({_reason(error)})") from None
    except BrokerError:
        connection.close()
        raise
    return connection


def _enter(connection: socket.socket, address: str, timeout: float) -> None:
    """Connect; while the daemon's queue of connections is full, wait for a place in it.

    connect(2) says EAGAIN at once then, on Linux. A flood by another process must not look like a
    daemon that is gone.
    """
    deadline = time.monotonic() + timeout
    number = connection.connect_ex(address)
    while number == errno.EAGAIN and time.monotonic() < deadline:
        time.sleep(_QUEUE_SECONDS)
        number = connection.connect_ex(address)
    if number:
        raise OSError(number, os.strerror(number))


def _error(error: Any) -> BrokerError:
    return from_wire(cast("dict[str, Any]", error) if isinstance(error, dict) else {})


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _ignore(method: str, params: dict[str, Any]) -> None:
    """Drop what the daemon says unasked: a command that ends at once has no use for it."""
