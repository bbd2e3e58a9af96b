"""Processes that a test plays with: they fork, connect, pass sockets on, and die as told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from brokerd.peer import Pin
from brokershim.errors import from_wire
from tests.support.daemon import PACKAGES, World, own_python, plain_path, wait_until

_MAIN = Path(__file__).with_name("puppet_main.py")
_SECONDS = 20.0
_MEET = """
meet = socket.socket(socket.AF_UNIX)
meet.bind(given["path"])
meet.listen()
os.chmod(given["path"], 0o777)
"""


class Puppet:
    """One process. It need not be a child of this one."""

    def __init__(self, stage: Stage, string: socket.socket) -> None:
        self._stage = stage
        self._string = string
        self._lines = string.makefile("rb")
        self.pid = int(json.loads(self._lines.readline())["pid"])
        # Pinned: some tests have numbers used again, and must not kill who has this one then.
        self._pin = Pin(self.pid, _watch(self.pid))

    def do(self, code: str, **given: Any) -> None:
        """Carry out statements; ``given`` holds what is given."""
        self._order(code, given, value=False)

    def begin(self, code: str) -> None:
        """Have it begin with statements; `finish` waits for their end."""
        self._send(code, {}, value=False)

    def finish(self) -> None:
        """Wait for the end of what `begin` began."""
        self._answer()

    def get(self, code: str, **given: Any) -> Any:
        """Return the value of an expression."""
        return self._order(code, given, value=True)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call the daemon on the process's own, kept connection; raise what it answers."""
        result = self.get("call(given['method'], given['params'])", method=method, params=params)
        assert isinstance(result, dict)
        return result

    def told(self) -> list[list[Any]]:
        """Return what the daemon said unasked on that connection, so far."""
        found = self.get("drained()")
        assert isinstance(found, list)
        return found

    def fork(self, how: str = "fork") -> Puppet:
        """Return a child: a copy with the same open descriptors."""
        return self._stage.enter_from(lambda: self.do(f"{how}()"))

    def fork_in_terminal(self) -> Puppet:
        """Return a child that leads a session in the foreground of a terminal of its own."""
        return self.fork("fork_in_terminal")

    def execute_itself(self) -> Puppet:
        """Let it execute the program of a puppet anew, and return what came of it."""
        code = "import sys; os.execv(sys.executable, sys.orig_argv)"
        return self._stage.enter_from(lambda: self.order_only(code))

    def pass_on(self, name: str, stranger: Puppet) -> None:
        """Pass a socket to another process, which calls it ``passed``."""
        with tempfile.TemporaryDirectory(prefix="passing-") as folder:
            os.chmod(folder, 0o777)
            path = os.path.join(folder, "meet")
            self.do(_MEET, path=path)
            stranger.do(
                "met = socket.socket(socket.AF_UNIX); met.connect(given['path'])", path=path
            )
            self.do(f"socket.send_fds(meet.accept()[0], [b'x'], [{name}.fileno()])")
        stranger.do("passed = socket.socket(fileno=socket.recv_fds(met, 1, 1)[1][0])")

    def cut(self, number: int = signal.SIGKILL) -> None:
        """End it by a signal, and wait until it has; a zombie has."""
        assert self._pin.alive()
        os.kill(self.pid, number)
        self.is_gone()

    def exit(self, status: int = 0) -> None:
        """Let it end by itself."""
        self.order_only(f"os._exit({status})")
        self.is_gone()

    def is_gone(self) -> None:
        """Wait until it has ended; a zombie has."""
        wait_until(lambda: not self._pin.alive())

    def order_only(self, code: str) -> None:
        """Have it do something that it will not come back from."""
        self._send(code, {}, value=False)

    def _order(self, code: str, given: dict[str, Any], *, value: bool) -> Any:
        self._send(code, given, value=value)
        return self._answer()

    def _answer(self) -> Any:
        reply = json.loads(self._lines.readline())
        if "error" in reply:
            raise from_wire(reply["error"])
        assert "raised" not in reply, reply["raised"]
        return reply["value"]

    def _send(self, code: str, given: dict[str, Any], *, value: bool) -> None:
        order = {"code": code, "given": given, "value": value}
        self._string.sendall(json.dumps(order).encode() + b"\n")

    def close(self) -> None:
        """End it if it lives, whatever it does."""
        if self._pin.alive():
            os.kill(self.pid, signal.SIGKILL)
        self._pin.close()
        self._lines.close()
        self._string.close()


class Stage:
    """Where puppets come from, and where they end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._puppets: list[Puppet] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="stage-")
        os.chmod(self._folder.name, 0o755)
        self._path = os.path.join(self._folder.name, "strings")
        self._entrance = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._entrance.bind(self._path)
        os.chmod(self._path, 0o777)  # other users act here too
        self._entrance.listen()
        self._entrance.settimeout(_SECONDS)

    def enter(self, **environ: str) -> Puppet:
        """Start a process of this process's own user."""
        return self._start([*own_python(), str(_MAIN)], None, environ)

    def enter_as(self, uid: int, python: list[str], **environ: str) -> Puppet:
        """Start a process of another user."""
        code = (
            f"import sys, runpy; sys.path[:0] = {plain_path()!r}; "
            f"runpy.run_path({str(_MAIN)!r}, run_name='__main__')"
        )
        return self._start([*python, "-c", code], uid, environ)

    def enter_from(self, cause: Callable[[], None]) -> Puppet:
        """Return the process that something brings about."""
        cause()
        string, _ = self._entrance.accept()
        string.settimeout(_SECONDS)
        self._puppets.append(Puppet(self, string))
        return self._puppets[-1]

    def _start(self, command: list[str], uid: int | None, environ: dict[str, str]) -> Puppet:
        def start() -> None:
            self._processes.append(
                subprocess.Popen(
                    [*command, self._path, PACKAGES[0]],
                    stdin=subprocess.DEVNULL,
                    env={**self._world.environ, **environ},
                    cwd=self._world.root,
                    user=uid,
                    group=uid,
                    extra_groups=None if uid is None else [],
                )
            )

        return self.enter_from(start)

    def reap(self) -> None:
        """Let the kernel give the numbers of ended processes away again."""
        for process in self._processes:
            process.poll()

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        for puppet in self._puppets:
            puppet.close()
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_SECONDS)
        self._entrance.close()
        self._folder.cleanup()


if sys.platform == "darwin":
    from brokerd.peer._darwin import _exit_watch as _watch
else:

    def _watch(pid: int) -> int:
        """Return a descriptor that becomes readable when the process ends."""
        return os.pidfd_open(pid)
