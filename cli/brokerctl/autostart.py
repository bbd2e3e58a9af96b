"""How does a command get a daemon to talk to? One that runs, or one that it starts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable

from brokershim.client import Client
from brokershim.errors import AlreadyRunning, DaemonUnreachable
from brokershim.ownership import make_private_dir, open_private
from brokershim.paths import SOCKET_VARIABLE, runtime_dir, socket_path

START_SECONDS = 20.0
"""How long a daemon may take until it says that it is ready."""
_POLL = 0.02


def connect() -> Client:
    """Connect to the daemon that runs.

    Raises:
        DaemonUnreachable: None does.
        InsecurePath: The socket's folder is not ours alone.
    """
    return Client()


def running() -> Client | None:
    """Connect to the daemon if one runs.

    Raises:
        InsecurePath: The socket's folder is not ours alone.
    """
    try:
        return connect()
    except DaemonUnreachable:
        return None


def connect_or_start() -> Client:
    """Connect to the daemon, and start one if none runs.

    Raises:
        DaemonUnreachable: It does not start.
        InsecurePath: A folder that it needs is not ours alone.
        BrokerError: What the daemon says it cannot start for.
    """
    return running() or _start_once()


def _start_once() -> Client:
    """Start the daemon, however many commands try to at the same time."""
    _check_socket_path()
    make_private_dir(runtime_dir())
    lock = open_private(os.path.join(runtime_dir(), "start.lock"), os.O_RDWR | os.O_CREAT)
    try:
        _wait_for(lock, time.monotonic() + 2 * START_SECONDS, time.sleep)
        # Whoever held the lock before has started it for us too.
        return running() or _start()
    finally:
        os.close(lock)


def _start() -> Client:
    from brokerctl.spawn import spawn  # subprocess costs 10 ms, and most commands never need it

    # One that was started by other means (a service, by hand) is as good.
    with contextlib.suppress(AlreadyRunning):
        spawn(START_SECONDS)
    return connect()


def _check_socket_path() -> None:
    """Refuse to start a daemon that would not listen where this command looks for it."""
    wanted = os.path.join(runtime_dir(), "broker.sock")
    if socket_path() != wanted:
        raise DaemonUnreachable(
            f"no daemon listens on {socket_path()}, where {SOCKET_VARIABLE} points",
            hint=f"unset {SOCKET_VARIABLE} to use {wanted}",
        )


def _wait_for(lock: int, deadline: float, sleep: Callable[[float], None]) -> None:
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise DaemonUnreachable("another command keeps starting the daemon") from None
            sleep(_POLL)
