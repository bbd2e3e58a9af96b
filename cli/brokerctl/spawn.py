"""How is the daemon started, so that nothing of the command that needed it clings to it?"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import IO, NoReturn

from brokerctl import output
from brokerd.ambient import CONTAINER, asks_for_identity
from brokershim import wire
from brokershim.errors import BrokerError, DaemonUnreachable, from_wire
from brokershim.ownership import make_private_dir, open_private
from brokershim.paths import state_dir

_NAMES = {
    "HOME", "PATH", "LANG", "USER", "LOGNAME", "TMPDIR",
    "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY",
}  # fmt: skip
_PREFIXES = ("XDG_", "LC_")
_NOTE_AFTER = 1.0
_CHUNK = 4096
_LOG_BYTES = 1024 * 1024


def log_path() -> str:
    """Return the file that the daemon's own output goes to."""
    return os.path.join(state_dir(), "daemon.log")


def spawn(timeout: float) -> None:
    """Start the daemon and wait until it says that it is ready.

    Args:
        timeout: Seconds that it may take; one that takes longer is ended.

    Raises:
        DaemonUnreachable: It did not start, ended, or took too long.
        InsecurePath: The folder of its log is not ours alone.
        BrokerError: What the daemon says it cannot start for.
    """
    ready, ready_end = _pipe()
    with ready:
        with ready_end:
            pid = _launch(ready_end.fileno())
        try:
            line = _first_line(ready.fileno(), timeout)
        except TimeoutError:
            _end(pid)
            raise DaemonUnreachable(f"the daemon was not ready within {timeout:.0f} s") from None
    if line != b"ready":
        raise _reason(line)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what the daemon may see of an environment.

    Only what it needs: the shell that happens to start it may hold real keys, and the daemon
    would keep them for days. In the job of a CI it needs what the job's identity is asked for with,
    and in a container of AWS what its role's credentials are.
    """
    needed = _NAMES | CONTAINER | asks_for_identity(environ)
    return {
        name: value
        for name, value in environ.items()
        if name in needed or name.startswith(_PREFIXES)
    }


def _launch(ready_end: int) -> int:
    """Start the daemon from a child that ends at once, and return the daemon's pid.

    As our own child it would become the child of whatever `brokerctl run` then executes: inside
    that session, and a stranger among the app's children.
    """
    make_private_dir(state_dir())
    log = _open_log()
    pid, pid_end = _pipe()
    with os.fdopen(log, "ab"), pid, pid_end:
        middle = os.fork()
        if middle == 0:
            _in_the_middle(log, ready_end, pid_end.fileno())
        pid_end.close()
        os.waitpid(middle, 0)
        number = pid.read(_CHUNK)
    if not number:
        raise DaemonUnreachable(f"cannot execute {sys.executable}")
    return int(number)


def _open_log() -> int:
    """Open the daemon's log; one that has grown is set aside, and the one before it dropped."""
    path = log_path()
    log = open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    if os.fstat(log).st_size < _LOG_BYTES:
        return log
    os.close(log)
    os.replace(path, f"{path}.1")
    return open_private(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def _in_the_middle(log: int, ready_end: int, pid_end: int) -> NoReturn:
    status = 1
    try:
        daemon = subprocess.Popen(
            [sys.executable, "-I", "-m", "brokerd", "--ready-fd", str(ready_end)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(ready_end,),
            env=environment(os.environ),
            cwd="/",
            start_new_session=True,
        )
        os.write(pid_end, str(daemon.pid).encode())
        status = 0
    except OSError:
        pass  # no pid is written: that says it
    finally:
        os._exit(status)


def _first_line(fd: int, timeout: float) -> bytes:
    """Return what the daemon says first, without its line end; empty where it just ended."""
    deadline = time.monotonic() + timeout
    if not _readable(fd, min(_NOTE_AFTER, timeout)) and sys.stderr.isatty():
        output.note("waiting for the daemon to start")
    data = b""
    while b"\n" not in data:
        if not _readable(fd, max(0.0, deadline - time.monotonic())):
            raise TimeoutError
        part = os.read(fd, _CHUNK)
        if not part:
            break
        data += part
    return data.partition(b"\n")[0]


def _readable(fd: int, timeout: float) -> bool:
    return bool(select.select([fd], [], [], timeout)[0])


def _reason(line: bytes) -> BrokerError:
    kind, _, message = line.partition(b" ")
    if kind == b"error":
        return from_wire(wire.decode(message))
    return DaemonUnreachable(
        "the daemon ended while it started", hint="see `brokerctl daemon logs`"
    )


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    read_end, write_end = os.pipe()
    return os.fdopen(read_end, "rb", buffering=0), os.fdopen(write_end, "wb", buffering=0)
