"""A daemon of a few lines, to test the client's side: it says what it is told."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from brokershim import wire
from brokershim.client import Client, Notify
from brokershim.errors import BrokerError, LeaseNotFound, SecretNotFound


@dataclass
class Entry:
    """One secret of the fake daemon."""

    value: str
    hosts: list[str] = field(default_factory=lambda: ["127.0.0.1"])
    version: str = "1"
    life: float = 300.0
    floor: float = 5.0
    bearer: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    signs: bool = False


class FakeBroker:
    """Listens on a socket in a folder.

    Attributes:
        secrets: What it leases.
        calls: Each call's method and params.
        refuse: The error to answer a method with.
        hold: While cleared, replies wait.
    """

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o700)
        self.path = str(folder / "broker.sock")
        self.secrets: dict[str, Entry] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refuse: dict[str, BrokerError] = {}
        self.hold = threading.Event()
        self.hold.set()
        self.greeted = 0
        self._called = threading.Condition()
        self._leases: dict[str, str] = {}
        self._ids = itertools.count(1)
        self._connections: list[socket.socket] = []
        self._serving: list[threading.Thread] = []
        self._open()

    def connect(self, notify: Notify) -> Client:
        return Client(self.path, timeout=10, notify=notify)

    def named(self, method: str) -> list[dict[str, Any]]:
        """Return the params of each call of a method."""
        return [params for name, params in self.calls if name == method]

    def wait_for(self, method: str, count: int) -> None:
        """Wait until a method was called so often."""
        with self._called:
            assert self._called.wait_for(lambda: len(self.named(method)) >= count, 10)

    def push(self, method: str, **params: Any) -> None:
        """Say something unasked on every connection."""
        self.push_raw(wire.encode_notification(method, params))

    def push_raw(self, line: bytes) -> None:
        """Send any bytes on every connection."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.sendall(line)

    def end_leases(self) -> None:
        """Forget every lease without a word."""
        self._leases.clear()

    def restart(self) -> None:
        """Lose every connection and lease."""
        self.close()
        self.end_leases()
        self._open()

    def close(self) -> None:
        self.hold.set()
        self._stop.set()
        self._accepting.join()  # first: it may be about to add a connection
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._serving:
            thread.join()
        for connection in self._connections:
            connection.close()
        self._connections, self._serving = [], []
        Path(self.path).unlink(missing_ok=True)

    def __enter__(self) -> FakeBroker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> None:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(self.path)
        listener.listen()
        listener.settimeout(0.003)  # how long its end waits, in hundreds of tests
        self._stop = threading.Event()
        self._accepting = threading.Thread(target=self._accept, args=(listener,), daemon=True)
        self._accepting.start()

    def _accept(self, listener: socket.socket) -> None:
        with listener:
            while not self._stop.is_set():
                with contextlib.suppress(TimeoutError):
                    connection, _ = listener.accept()
                    connection.settimeout(None)
                    self._connections.append(connection)
                    thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                    self._serving.append(thread)
                    thread.start()

    def _serve(self, connection: socket.socket) -> None:
        lines = wire.LineBuffer()
        while True:
            try:
                data = connection.recv(65536)
                for line in lines.feed(data):
                    connection.sendall(self._answer(wire.request_of(wire.decode(line))))
            except OSError:
                return
            if not data:
                return

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return the result of a call. Tests put their own in its place."""
        verb = getattr(self, "_" + method.replace(".", "_"))
        result: dict[str, Any] = verb(**params)
        return result

    def _answer(self, request: wire.Request) -> bytes:
        if request.method == "hello":
            self.greeted += 1
            return wire.encode_result(request.id, {"protocol": 1, "server": "fake/1"})
        with self._called:
            self.calls.append((request.method, request.params))
            self._called.notify_all()
        self.hold.wait()
        try:
            if request.method in self.refuse:
                raise self.refuse[request.method]
            result = self.answer(request.method, request.params)
            return wire.encode_result(request.id, result)
        except BrokerError as error:
            return wire.encode_error(request.id, error)

    def _lease_acquire(self, secret: str, session: str = "") -> dict[str, Any]:
        del session
        if secret not in self.secrets:
            raise SecretNotFound(f"no secret {secret}")
        lease, entry = f"lease-{next(self._ids)}", self.secrets[secret]
        self._leases[lease] = secret
        return {
            **self._term(entry),
            "lease": lease,
            "secret": secret,
            "value": entry.value,
            "hosts": entry.hosts,
            "bounded_by": "broker",
            "delivery": {
                "bearer": entry.bearer,
                "headers": entry.headers,
                "signs": entry.signs,
            },
        }

    def _lease_renew(self, lease: str) -> dict[str, Any]:
        if lease not in self._leases:
            raise LeaseNotFound("no such lease")
        return {"lease": lease, **self._term(self.secrets[self._leases[lease]])}

    def _lease_report(self, lease: str, status: int) -> dict[str, Any]:
        del status
        if self._leases.pop(lease, None) is None:
            raise LeaseNotFound("no such lease")
        return {}

    @staticmethod
    def _term(entry: Entry) -> dict[str, Any]:
        return {"version": entry.version, "expires_in": entry.life, "floor": entry.floor}
