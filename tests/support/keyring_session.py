"""Runs a real keyring of the desktop, apart from the user's own: gnome-keyring on its own D-Bus."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from tests.support.require import require_program

_PATIENCE_SECONDS = 20.0
# No service is started on demand: what is on this bus was put there by the test.
_CONFIG = """<busconfig>
  <type>session</type>
  <listen>unix:path={bus}</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


@contextmanager
def bus_session(folder: Path) -> Generator[dict[str, str]]:
    """Run a D-Bus daemon with nothing on it; yield the variables that lead to it.

    Args:
        folder: An empty folder for the bus and for all that is started on it. Its path must be
            short: a socket's address holds about 100 bytes.
    """
    program = require_program("dbus-daemon", "apt-get install dbus")
    bus, config = folder / "bus", folder / "bus.conf"
    config.write_text(_CONFIG.format(bus=bus))
    command = [program, f"--config-file={config}", "--nofork", "--print-address"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as daemon:
        try:
            assert daemon.stdout is not None
            assert daemon.stdout.readline(), "the D-Bus daemon did not start"
            yield {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}", "XDG_RUNTIME_DIR": str(folder)}
        finally:
            daemon.terminate()


@contextmanager
def keyring_session(folder: Path, password: str = "of the keyring") -> Generator[dict[str, str]]:
    """Run an unlocked keyring on a bus of its own; yield the variables that lead to it.

    Both end with the block. What the keyring keeps stands in ``folder / "data"``.
    """
    program = require_program("gnome-keyring-daemon", "apt-get install gnome-keyring")
    with bus_session(folder) as variables:
        command = [program, "--foreground", "--unlock", "--components=secrets"]
        own = {"HOME": str(folder), "XDG_DATA_HOME": str(folder / "data"), **variables}
        with subprocess.Popen(
            [*command, f"--control-directory={folder / 'control'}"],
            env={**os.environ, **own},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as daemon:
            try:
                assert daemon.stdin is not None
                daemon.stdin.write(password.encode())
                daemon.stdin.close()
                _wait_until_it_answers(variables)
                yield variables
            finally:
                daemon.terminate()


def _wait_until_it_answers(variables: dict[str, str]) -> None:
    import secretstorage  # there is none on macOS, where no test comes this far

    until = time.monotonic() + _PATIENCE_SECONDS
    with mock.patch.dict(os.environ, variables):
        connection = secretstorage.dbus_init()
        try:
            while not secretstorage.check_service_availability(connection):
                assert time.monotonic() < until, "the keyring did not start"
                time.sleep(0.01)
        finally:
            connection.close()
