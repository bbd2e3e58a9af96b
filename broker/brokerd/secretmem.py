"""Where does a key stand in memory, so that it reaches no swap and no core dump?

Two kinds of page, the better one first:

- ``memfd_secret`` (memfd_secret(2), Linux 5.14): out of the kernel's own map too. It is never
  swapped or dumped, and neither /proc/PID/mem, ptrace(2) nor root's tools can read it. While
  one exists the kernel does not hibernate, as that would write all memory to the disk.
- ``locked`` (mlock(2), and MADV_DONTDUMP of madvise(2) where there is one): never swapped, and
  left out of core dumps. /proc/PID/mem can read it, if something may open that.

What neither buys: a copy made of the bytes, on the Python heap or inside a library, has none of
this; and code that runs inside this process can read the page.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
from typing import Literal

from brokershim.errors import BackendUnavailable

Kind = Literal["memfd_secret", "locked"]
PAGE = mmap.PAGESIZE
"""The size of a page in bytes."""
_MEMFD_SECRET = 447
"""Its number, the same on every architecture of Linux that Python runs on (syscalls(2))."""
_DONTDUMP: int | None = getattr(mmap, "MADV_DONTDUMP", None)
_libc = ctypes.CDLL(None, use_errno=True)


class SecretPage:
    """One page of memory for keys, all zeros at first.

    Attributes:
        kind: How it is kept: ``memfd_secret`` or ``locked``.

    Raises:
        BackendUnavailable: The kernel gives neither kind. There is no third.
    """

    kind: Kind

    def __init__(self) -> None:
        try:
            self._memory, self.kind = _secret(), "memfd_secret"
        except OSError:  # no such call, or not allowed here, or over the limit
            self._memory, self.kind = _locked_or_raise(), "locked"

    def view(self, size: int) -> memoryview:
        """Return the first ``size`` bytes of the page itself, to be read and written.

        Raises:
            ValueError: The page is closed.
        """
        return memoryview(self._memory)[:size]

    def fill(self, size: int) -> None:
        """Fill the first ``size`` bytes, at most 256, with randomness, straight from the kernel.

        ``os.urandom`` would make its bytes on the heap first, and leave them there.

        Raises:
            BackendUnavailable: The kernel has none to give (getentropy(3)).
        """
        if _libc.getentropy(ctypes.c_void_p(_address(self._memory)), ctypes.c_size_t(size)):
            raise BackendUnavailable(f"the kernel gives no randomness: {_last_error().strerror}")

    def close(self) -> None:
        """Wipe the page and give it back; a second time does nothing."""
        if self._memory.closed:
            return
        self._memory[:] = bytes(PAGE)
        with contextlib.suppress(BufferError):  # a thread still uses it, and then gives it back
            self._memory.close()


def _secret() -> mmap.mmap:
    """Return a page that even the kernel's own map leaves out.

    Raises:
        OSError: Not here.
    """
    # Elsewhere 447 is another call (on macOS, connectx): its older sister says it is Linux.
    if not hasattr(os, "memfd_create"):
        raise OSError("memfd_secret is a call of Linux")
    fd = int(_libc.syscall(_MEMFD_SECRET, os.O_CLOEXEC))
    if fd < 0:
        raise _last_error()
    try:
        os.ftruncate(fd, PAGE)
        return mmap.mmap(fd, PAGE)
    finally:
        os.close(fd)


def _locked_or_raise() -> mmap.mmap:
    """Return a page of the second kind.

    Raises:
        BackendUnavailable: Not allowed; mostly, over the limit of locked memory.
    """
    try:
        return _locked()
    except OSError as error:
        raise BackendUnavailable(
            f"no memory that stays out of the swap: {error.strerror}",
            hint="raise the limit of locked memory; see `ulimit -l`",
        ) from None


def _locked() -> mmap.mmap:
    """Return a page that is not swapped and, where the kernel can leave it out, not dumped."""
    memory = mmap.mmap(-1, PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if _libc.mlock(ctypes.c_void_p(_address(memory)), ctypes.c_size_t(PAGE)):
        raise _last_error()
    if _DONTDUMP is not None:
        memory.madvise(_DONTDUMP)
    return memory


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
