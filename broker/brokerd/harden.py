"""How does the daemon keep others out of its own memory, before it listens?"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

_PR_SET_DUMPABLE = 4  # prctl(2)
_PR_SET_NO_NEW_PRIVS = 38
_PT_DENY_ATTACH = 31  # ptrace(2) of macOS


def harden() -> list[str]:
    """Close this process to debuggers and core dumps, and return what was done.

    Not dumpable: another process of the same user can then neither ptrace it, read its
    /proc/PID/mem and environ, nor take its descriptors with pidfd_getfd (ptrace(2), "access
    mode checking").

    Raises:
        OSError: The kernel refused; the daemon must not go on.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    done = ["umask 077", "no core dumps"]
    if sys.platform == "linux":
        _prctl(_PR_SET_DUMPABLE, 0)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        done += ["not dumpable", "no new privileges"]
    elif sys.platform == "darwin":
        if ctypes.CDLL(None, use_errno=True).ptrace(_PT_DENY_ATTACH, 0, None, 0) != 0:
            raise OSError(ctypes.get_errno(), "ptrace(PT_DENY_ATTACH) failed")
        done += ["no debugger"]
    return done


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")
