"""Claims 14 and 15: a program that reads the daemon's memory, as the same user or even as root."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.security.scene import KEY, SECRET, Scene, lease, new_scene
from tests.support.daemon import started_as_plain_user
from tests.support.memory_pages import require_memfd_secret
from tests.support.puppet import Puppet

# Each attack returns what it could read, as far as it gets; PTRACE_ATTACH is 16, PTRACE_SEIZE
# 0x4206 (ptrace(2)), pidfd_getfd 438.
_TOOLS = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)

def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result

def writable(pid):
    for line in open(f"/proc/{pid}/maps"):
        where, mode = line.split()[:2]
        if mode.startswith("rw"):
            yield tuple(int(part, 16) for part in where.split("-"))

def by_mem(pid):
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for start, end in writable(pid):
            memory.seek(start)
            try:
                yield memory.read(end - start)
            except OSError:
                continue

class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

def by_readv(pid, places=None):
    for start, end in places or writable(pid):
        buffer = ctypes.create_string_buffer(end - start)
        here, there = Piece(ctypes.addressof(buffer), end - start), Piece(start, end - start)
        one = ctypes.c_ulong(1)
        checked(libc.process_vm_readv(
            pid, ctypes.byref(here), one, ctypes.byref(there), one, ctypes.c_ulong(0)))
        yield buffer.raw

def by_ptrace(pid):
    for request in (16, 0x4206):
        checked(libc.ptrace(request, pid, None, None))
        yield b""

def by_pidfd(pid):
    for fd in range(32):
        yield b"%d" % checked(libc.syscall(438, os.pidfd_open(pid), fd, 0))

def by_proc(pid):
    yield open(f"/proc/{pid}/environ", "rb").read()
    yield "".join(os.listdir(f"/proc/{pid}/fd")).encode()
    yield open(f"/proc/{pid}/auxv", "rb").read()

def attempt(attack, **more):
    found = errno = 0
    try:
        for part in attack(given["pid"], **more):
            found += given["key"].encode() in part
            errno = -1
    except OSError as error:
        errno = error.errno if errno == 0 else errno
    return found, errno
"""
_REFUSED = {1, 13}  # EPERM, EACCES
_CORE = "import resource; resource.setrlimit(resource.RLIMIT_CORE, given['limit'])"


def _attempts(intruder: Puppet, pid: int) -> dict[str, list[int]]:
    """Return for each attack how often it found the key, and how it failed; -1 if it did not."""
    ways = {each: f"attempt({each})" for each in ("by_mem", "by_readv", "by_pidfd", "by_proc")}
    # Without the map, which is refused, at the places where a program without PIE has its data.
    ways["by_readv, blindly"] = "attempt(by_readv, places=[(0x400000, 0x401000)])"
    ways["by_ptrace"] = "attempt(by_ptrace)"
    return {name: intruder.get(code, pid=pid, key=KEY) for name, code in ways.items()}


def test_claim_14_the_same_user_reads_nothing_of_the_daemon(scene: Scene) -> None:
    scene.world.grant(SECRET)
    root, intruder = scene.session(), scene.enter()
    assert lease(root) == KEY
    intruder.do(_TOOLS)
    for way, (found, errno) in _attempts(intruder, scene.daemon.pid).items():
        assert found == 0, way
        assert errno in _REFUSED, way


def test_claim_14_the_same_attacks_find_the_key_in_an_app(scene: Scene) -> None:
    """The control, and a limit that SECURITY.md states: an app is a program like any other."""
    scene.world.grant(SECRET)
    root, intruder = scene.session(), scene.enter()
    assert lease(root) == KEY
    intruder.do(_TOOLS)
    found = _attempts(intruder, root.pid)
    assert found["by_mem"][0] > 0
    assert found["by_ptrace"] == [0, -1]


def test_claim_14_a_daemon_that_crashes_leaves_no_core(own_scene: Scene) -> None:
    """The kernel says in the exit status whether it wrote one (wait(2), WCOREDUMP)."""
    daemon, control = own_scene.daemon, own_scene.enter()
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    control.do("os.chdir(given['home'])", home=str(own_scene.world.home))
    control.do(_CORE, limit=[most, most])
    child = control.fork()
    child.cut(signal.SIGSEGV)
    assert control.get("os.WCOREDUMP(os.wait()[1])"), "this machine writes no cores at all"
    os.kill(daemon.pid, signal.SIGSEGV)
    _, status = os.waitpid(daemon.pid, 0)
    daemon.process.returncode = -signal.SIGSEGV
    assert os.WTERMSIG(status) == signal.SIGSEGV
    assert not os.WCOREDUMP(status)


def test_claim_15_root_finds_only_the_keys_that_were_given_out(own_scene: Scene) -> None:
    """Nobody can keep root out; but what it finds in the heap are recent replies, not the store."""
    keys = {f"openai/k{n}": f"sk-proj-waits-{n}-{os.urandom(12).hex()}" for n in range(5)}
    for name, value in keys.items():
        own_scene.owner.call("secret.set", name=name, value=value)
    own_scene.daemon.stop()
    with started_as_plain_user(own_scene.world) as daemon, new_scene(daemon) as again:
        again.world.grant("openai/*")
        root = again.session("openai/k1", "openai/k2")
        for name in ("openai/k1", "openai/k2"):
            assert root.call("lease.acquire", secret=name)["value"] == keys[name]
        found = {name for name, value in keys.items() if _stands_in_memory(daemon.pid, value)}
    assert found <= {"openai/k1", "openai/k2"}


def test_claim_15_that_search_finds_what_is_there(scene: Scene) -> None:
    scene.owner.do("mine = given['text'] * 3", text="sk-proj-a-canary-")
    assert _stands_in_memory(scene.owner.pid, "sk-proj-a-canary-sk-proj-a-canary-sk-proj-a-canary-")


def test_claim_15_the_key_of_the_seal_is_out_of_roots_reach(scene: Scene) -> None:
    require_memfd_secret()
    assert "keys sealed: memfd_secret" in scene.owner.call("daemon.status")["protection"]
    secret = [where for where, name in _map_of(scene.daemon.pid) if name.startswith("/secretmem")]
    assert secret
    with Path(f"/proc/{scene.daemon.pid}/mem").open("rb", 0) as memory:
        for page in secret:
            memory.seek(page.start)
            with pytest.raises(OSError, match="Input/output error"):
                memory.read(len(page))


def _stands_in_memory(pid: int, text: str) -> bool:
    """Return whether a text stands anywhere in a process's memory, as far as root can read it."""
    looked_at = 0
    with Path(f"/proc/{pid}/mem").open("rb", 0) as memory:
        for where, _ in _map_of(pid):
            try:
                memory.seek(where.start)
                data = memory.read(len(where))
            except (OSError, ValueError):  # the kernel's own pages, and secret ones
                continue
            looked_at += len(data)
            if text.encode() in data:
                return True
    assert looked_at > 1_000_000
    return False


def _map_of(pid: int) -> Iterator[tuple[range, str]]:
    """Yield where a process's memory is, and what each part is called (proc_pid_maps(5))."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        where, _mode, _offset, _device, _inode, *name = line.split()
        start, end = (int(part, 16) for part in where.split("-"))
        if start < 2**47:  # above is what cannot be sought to
            yield range(start, end), " ".join(name)
