"""A real daemon in a world of its own: how it is set up, started, looked at and ended."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from brokershim.client import Client
from brokershim.errors import BrokerError, from_wire
from tests.support.require import require_file_readable, require_root

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = [str(REPOSITORY / each) for each in ("shim", "broker", "cli")]
PASSPHRASE = "correct horse battery"
PLAIN_UID = 65534
"""A user that is not root, and that owns nothing; its name differs between systems."""
_START_SECONDS = 20.0
_END_SECONDS = 10.0
_POLL = 0.005
_DEBIAN_PYTHON = "/usr/bin/python3"

# Signs of an error that nobody handled; none may be in the log of any daemon of any test.
_UNHANDLED = ("Traceback", "internal error", "never retrieved", "was destroyed", "Exception in")


class World:
    """Folders and an environment that no other daemon shares.

    Attributes:
        root: The folder of it all.
        environ: The whole environment of a process in this world.
        uid: Whose it is.
    """

    def __init__(self, root: Path, uid: int) -> None:
        self.root, self.uid = root, uid
        self.environ = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        for variable, name in (
            ("HOME", "home"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_STATE_HOME", "state"),
            ("XDG_RUNTIME_DIR", "run"),
        ):
            folder = root / name
            folder.mkdir(mode=0o700)
            os.chown(folder, uid, -1)
            self.environ[variable] = str(folder)
        self.home = root / "home"
        self.config = root / "config" / "brokerctl"
        self.state = root / "state" / "brokerctl"
        self.runtime = root / "run" / "brokerctl"
        self.socket = str(self.runtime / "broker.sock")
        self.write_config("config.toml", '[store]\nmaster_key = "passphrase"\n')

    def write_config(self, name: str, text: str) -> Path:
        """Write a file of the configuration, as the user would."""
        self.config.mkdir(mode=0o700, exist_ok=True)
        path = self.config / name
        path.write_text(text)
        path.chmod(0o600)
        for each in (self.config, path):
            os.chown(each, self.uid, -1)
        return path

    def grant(self, *secrets: str, **terms: str | bool) -> None:
        """Let every session lease the secrets; no secrets takes the grant away."""
        lines = [f"{key} = {json.dumps(value)}" for key, value in terms.items()]
        text = "\n".join(["[[grant]]", "unsafe_any_session = true", *lines, ""])
        secrets_line = f"secrets = {json.dumps(list(secrets))}\n"
        self.write_config("policy.toml", text + secrets_line if secrets else "")

    def project(self, name: str, **env: str) -> Path:
        """Write a broker.toml into a folder of its own, and return its path."""
        folder = self.home / name
        folder.mkdir(exist_ok=True)
        path = folder / "broker.toml"
        path.write_text("".join(f'{key} = "{value}"\n' for key, value in env.items()))
        path.chmod(0o644)
        for each in (folder, path):
            os.chown(each, self.uid, -1)
        return path

    def events(self, *wanted: str) -> list[dict[str, Any]]:
        """Return the audit's events, in order; those of the given names if any are given."""
        found = [
            json.loads(line)
            for path in sorted((self.state / "audit").glob("audit-*.jsonl"))
            for line in path.read_text().splitlines()
        ]
        return [each for each in found if not wanted or each["event"] in wanted]


@contextmanager
def new_world(uid: int | None = None, *, long: bool = False) -> Generator[World]:
    """Make a world, and take it away again.

    Args:
        uid: Whose it is; this process's own user if not given.
        long: Let its paths be longer than a socket's address can be.
    """
    root = Path(tempfile.mkdtemp(prefix="brokerd-"))
    inner = root / ("long" * 40) if long else root / "w"
    inner.mkdir()
    if uid is not None:
        root.chmod(0o755)
    try:
        yield World(inner, os.geteuid() if uid is None else uid)
    finally:
        shutil.rmtree(root)


def own_python() -> list[str]:
    """Return how the installed program runs Python: this interpreter, isolated."""
    return [sys.executable, "-I"]


def plain_python() -> list[str]:
    """Return how another user runs Python; root's own interpreter may be unreadable to them."""
    require_root()
    require_file_readable(REPOSITORY, PLAIN_UID, "move the checkout where other users can read")
    return [_DEBIAN_PYTHON, "-I", "-S"]


def plain_path() -> list[str]:
    """Return what stands in sys.path for `plain_python`, in place of what a venv gives."""
    return [*PACKAGES, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]


class Daemon:
    """One started daemon.

    Attributes:
        world: What it lives in.
        process: The daemon itself.
        pid: Its process number.
    """

    def __init__(self, world: World, command: list[str], uid: int | None = None) -> None:
        self.world = world
        self._log = world.root / f"daemon-{time.monotonic_ns()}.log"
        reader, writer = os.pipe()
        with self._log.open("wb") as log, os.fdopen(reader, "rb") as ready:
            with os.fdopen(writer, "wb"):
                self.process = subprocess.Popen(
                    [*command, "--ready-fd", str(writer)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=world.environ,
                    cwd="/",
                    pass_fds=(writer,),
                    start_new_session=True,
                    user=uid,
                    group=uid,
                    extra_groups=None if uid is None else [],
                )
            self.pid = self.process.pid
            self.first_words = ready.readline().decode().rstrip("\n")

    @property
    def log(self) -> str:
        """What it said."""
        return self._log.read_text()

    def raise_if_not_ready(self) -> None:
        """Raise the error that it could not start for."""
        if self.first_words == "ready":
            return
        self.process.wait(_END_SECONDS)
        kind, _, rest = self.first_words.partition(" ")
        assert kind == "error", self.log
        raise from_wire(json.loads(rest))

    def client(self, notify: Callable[[str, dict[str, Any]], None] | None = None) -> Client:
        """Connect to it from this process."""
        return Client(self.world.socket, timeout=_START_SECONDS, notify=notify)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call one method on a connection of its own, from this process."""
        client = self.client()
        try:
            return client.call(method, **params)
        finally:
            client.close()

    def set_secret(
        self, name: str = "openai/dev", value: str = "sk-of-the-tests", **more: Any
    ) -> None:
        """Store a secret, making or opening the store where need be."""
        store = self.call("daemon.status")["store"]
        if not store["exists"] or store["locked"]:
            self.call("store.unlock", passphrase=PASSPHRASE, create=not store["exists"])
        self.call("secret.set", name=name, value=value, **more)

    def stop(self) -> None:
        """End it as a service manager does, and look at how it went."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(_END_SECONDS) == 0, (self.process.returncode, self.log)
        self._look_back()
        assert not os.path.lexists(self.world.socket)

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait(_END_SECONDS)
        self._look_back()

    def abandon(self) -> None:
        """End it in any way, without a look at how it went."""
        self.process.kill()
        self.process.wait(_END_SECONDS)

    def _look_back(self) -> None:
        assert self.process.returncode is not None  # waited for: it is gone
        assert not [word for word in _UNHANDLED if word in self.log], self.log

    def descriptors(self) -> int:
        """Return how many it has open; only root may look, for it is not dumpable."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self) -> int:
        """Return its resident memory in bytes."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def started(world: World) -> Generator[Daemon]:
    """Start the daemon as this process's own user; end it, and look at how it went."""
    daemon = Daemon(world, [*own_python(), "-m", "brokerd"])
    yield from _until_done(daemon)


@contextmanager
def started_as_plain_user(world: World) -> Generator[Daemon]:
    """Start the daemon as a user that is not root, from this root process.

    Attacks by the same user can only be tried so: root may look into any process anyway.
    """
    start = (
        f"import sys, runpy; sys.path[:0] = {plain_path()!r}; "
        "runpy.run_module('brokerd', run_name='__main__', alter_sys=True)"
    )
    yield from _until_done(Daemon(world, [*plain_python(), "-c", start], PLAIN_UID))


def _until_done(daemon: Daemon) -> Generator[Daemon]:
    try:
        daemon.raise_if_not_ready()
        yield daemon
    except BaseException:
        daemon.abandon()
        raise
    if daemon.process.returncode is None:
        daemon.stop()


def failure_to_start(world: World) -> BrokerError:
    """Start a daemon that cannot start, and return why."""
    daemon = Daemon(world, [*own_python(), "-m", "brokerd"])
    try:
        with pytest.raises(BrokerError) as failure:
            daemon.raise_if_not_ready()
    finally:
        daemon.abandon()
    assert daemon.process.returncode == failure.value.exit_status
    return failure.value


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for something that another process brings about; too long is a failure."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(_POLL)
