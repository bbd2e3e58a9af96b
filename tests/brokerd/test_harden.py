from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from brokerd import harden
from tests.support.daemon import PLAIN_UID, Daemon, new_world, plain_python, started_as_plain_user
from tests.support.puppet import Stage
from tests.support.require import require_linux, require_root

_LOOK = """
import os, resource, sys
{before}
from brokerd.harden import harden
print(harden())
mask = os.umask(0)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(oct(mask), resource.getrlimit(resource.RLIMIT_CORE), status["NoNewPrivs"].strip())
import ctypes
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))
"""


def _hardened() -> list[str]:
    require_linux()
    code = _LOOK.format(before="")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_it_does_what_it_says() -> None:
    said, seen, dumpable = _hardened()
    assert said == "['umask 077', 'no core dumps', 'not dumpable', 'no new privileges']"
    assert seen == "0o77 (0, 0) 1"
    assert dumpable == "0"


def test_a_kernel_that_refuses_is_an_error() -> None:
    require_linux()
    with pytest.raises(OSError, match="prctl"):
        harden._prctl(harden._PR_SET_NO_NEW_PRIVS, 5)


def test_the_daemon_is_hardened_before_it_listens(daemon: Daemon) -> None:
    status = daemon.call("daemon.status")
    assert {"umask 077", "no core dumps"} <= set(status["protection"])
    require_linux()
    assert "not dumpable" in status["protection"]
    assert os.stat(f"/proc/{daemon.pid}/mem").st_uid == 0  # proc(5): of what is not dumpable
    limits = Path(f"/proc/{daemon.pid}/limits").read_text()
    assert "Max core file size        0                    0" in limits


_ATTACKS = {
    "its memory": "open(f'/proc/{pid}/mem', 'rb').read(1)",
    "its environment": "open(f'/proc/{pid}/environ', 'rb').read()",
    "its memory map": "open(f'/proc/{pid}/maps', 'rb').read()",
    "its descriptors": "os.listdir(f'/proc/{pid}/fd')",
    "a descriptor of it": "open(f'/proc/{pid}/fd/0', 'rb')",
    "its folder": "os.readlink(f'/proc/{pid}/cwd')",
    "its stack": "open(f'/proc/{pid}/stack', 'rb').read()",
    "its system call": "open(f'/proc/{pid}/syscall', 'rb').read()",
    "a copy of a descriptor": "syscall(438, os.pidfd_open(pid), 0, 0)",
    "ptrace": "ptrace(16, pid)",
    "ptrace, seizing": "ptrace(0x4206, pid)",
    "another process's memory": "vm(pid)",
}
_TOOLS = """
import ctypes
pid = given["pid"]
libc = ctypes.CDLL(None, use_errno=True)
def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result
def syscall(number, *arguments):
    return checked(libc.syscall(number, *arguments))
def ptrace(request, pid):
    return checked(libc.ptrace(request, pid, None, None))
def vm(pid):
    class Piece(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
    buffer = ctypes.create_string_buffer(8)
    mine = Piece(ctypes.addressof(buffer), 8)
    theirs = Piece(0x400000, 8)
    one, none = ctypes.c_ulong(1), ctypes.c_ulong(0)
    where = ctypes.byref(mine), one, ctypes.byref(theirs), one, none
    return checked(libc.process_vm_readv(pid, *where))
def attack(code):
    try:
        eval(code)
    except OSError as error:
        return error.errno
    return 0
"""


def test_the_same_user_cannot_look_into_the_daemon() -> None:
    require_linux()
    require_root()
    refused = {1, 13}  # EPERM, EACCES
    with (
        new_world(PLAIN_UID) as world,
        started_as_plain_user(world) as daemon,
        Stage(world) as stage,
    ):
        attacker = stage.enter_as(PLAIN_UID, plain_python())
        attacker.do(_TOOLS, pid=daemon.pid)
        found = {
            what: attacker.get("attack(given['what'])", what=code)
            for what, code in _ATTACKS.items()
        }
        assert {what: number for what, number in found.items() if number not in refused} == {}


def test_these_attacks_work_on_a_process_that_is_not_hardened() -> None:
    """Without this, the test above could pass for the wrong reason."""
    require_linux()
    require_root()
    with new_world(PLAIN_UID) as world, Stage(world) as stage:
        victim, attacker = (stage.enter_as(PLAIN_UID, plain_python()) for _ in range(2))
        attacker.do(_TOOLS, pid=victim.pid)
        for what in ("its environment", "its memory map", "its descriptors", "its folder"):
            assert attacker.get("attack(given['what'])", what=_ATTACKS[what]) == 0, what
        assert attacker.get("attack(given['what'])", what=_ATTACKS["a copy of a descriptor"]) == 0
        assert attacker.get("attack(given['what'])", what=_ATTACKS["ptrace"]) == 0
