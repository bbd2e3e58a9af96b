from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator

import pytest

from brokerd.peer.pin import Pin

assert sys.platform == "linux"  # type checkers narrow on it; conftest.py leaves this out elsewhere


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_process_is_alive_until_it_ends_also_as_a_zombie(child: subprocess.Popen[bytes]) -> None:
    pin = Pin(child.pid, os.pidfd_open(child.pid))
    assert pin.alive()
    child.kill()
    assert select.select([pin.fd], [], [], 5.0)[0]
    assert not pin.alive()  # and nobody has waited for it yet
    pin.close()


def test_a_pin_that_is_closed_counts_as_gone(child: subprocess.Popen[bytes]) -> None:
    pin = Pin(child.pid, os.pidfd_open(child.pid))
    number = pin.fd
    pin.close()
    pin.close()
    reader, writer = os.pipe()
    os.dup2(reader, number)  # the number is another file's now, and that one is not readable
    assert not pin.alive()
    for fd in {reader, writer, number}:
        os.close(fd)


def test_a_copy_lives_by_itself(child: subprocess.Popen[bytes]) -> None:
    pin = Pin(child.pid, os.pidfd_open(child.pid))
    copy = pin.copy()
    assert copy.fd != pin.fd
    assert not os.get_inheritable(copy.fd)
    pin.close()
    assert copy.alive()
    copy.close()
