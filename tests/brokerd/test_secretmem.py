"""The page for keys is one that the kernel keeps to this process."""

from __future__ import annotations

import mmap
import os
import resource
import subprocess
import sys
from unittest import mock

import pytest

from brokerd import secretmem
from brokerd.secretmem import SecretPage
from brokershim.errors import BackendUnavailable
from tests.support.memory_pages import require_memfd_secret
from tests.support.require import require_linux


@pytest.fixture(params=["memfd_secret", "locked"])
def page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SecretPage:
    if request.param == "locked":
        monkeypatch.setattr(secretmem, "_secret", mock.Mock(side_effect=OSError))
    else:
        require_memfd_secret()
    return SecretPage()


def test_a_page_holds_what_is_written(page: SecretPage) -> None:
    assert bytes(page.view(mmap.PAGESIZE)) == bytes(mmap.PAGESIZE)
    page.view(3)[:] = b"abc"
    assert bytes(page.view(4)) == b"abc\0"


def test_a_page_is_filled_with_randomness(page: SecretPage) -> None:
    page.fill(32)
    first = bytes(page.view(33))
    page.fill(32)
    assert bytes(page.view(32)) != first[:32]
    assert first[32] == 0
    assert first[:32] != bytes(32)


def test_a_closed_page_is_gone(page: SecretPage) -> None:
    page.close()
    page.close()
    with pytest.raises(ValueError, match="closed"):
        page.view(1)


def test_a_page_in_use_is_wiped_at_once_and_given_back_later(page: SecretPage) -> None:
    page.fill(32)
    view = page.view(32)
    page.close()
    assert bytes(view) == bytes(32)
    view.release()
    page.close()
    with pytest.raises(ValueError, match="closed"):
        page.view(1)


def _smaps(kind: str) -> dict[str, str]:
    """Return the kernel's account of the page, as proc_pid_smaps(5) gives it."""
    code = f"""
import ctypes
from unittest import mock
from brokerd import secretmem
if {kind!r} == "locked":
    mock.patch.object(secretmem, "_secret", side_effect=OSError).start()
page = secretmem.SecretPage()
assert page.kind == {kind!r}
page.fill(32)
address = secretmem._address(page._memory)
print(hex(address))
print(open("/proc/self/smaps").read())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    address, _, rest = done.partition("\n")
    start = rest.index(f"\n{int(address, 16):x}-")
    lines = rest[start + 1 :].splitlines()[1:40]
    pairs = (line.partition(":") for line in lines)
    fields: dict[str, str] = {}
    for name, _, value in pairs:
        fields.setdefault(name, value.strip())
    return fields


def test_a_locked_page_is_neither_swapped_nor_dumped() -> None:
    require_linux()
    fields = _smaps("locked")
    assert {"lo", "dd"} <= set(fields["VmFlags"].split())  # locked, and do not dump
    assert fields["Locked"] == f"{mmap.PAGESIZE // 1024} kB"


def test_a_page_is_no_descriptor_of_a_child(page: SecretPage) -> None:
    require_linux()
    assert page.kind
    inherited = [os.readlink(f"/proc/self/fd/{fd}") for fd in _inheritable()]
    assert not any("secretmem" in name for name in inherited)


def _inheritable() -> list[int]:
    fds = [int(name) for name in os.listdir("/proc/self/fd")]
    return [fd for fd in fds if os.path.exists(f"/proc/self/fd/{fd}") and os.get_inheritable(fd)]


def test_a_child_that_starts_at_that_very_moment_gets_none_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require_memfd_secret()
    libc = mock.Mock(wraps=secretmem._libc)
    monkeypatch.setattr(secretmem, "_libc", libc)
    assert SecretPage().kind == "memfd_secret"
    libc.syscall.assert_called_once_with(447, os.O_CLOEXEC)


def test_over_the_limit_of_locked_memory_there_is_no_page() -> None:
    code = """
from brokerd.secretmem import SecretPage
from brokershim.errors import BackendUnavailable
import ctypes, os, resource
resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
if os.geteuid() == 0:  # root may lock without limit
    os.setgid(65534); os.setuid(65534)
try:
    SecretPage()
except BackendUnavailable as error:
    print(error.message)
"""
    assert resource.RLIMIT_MEMLOCK
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("no memory that stays out of the swap: ")
    assert done.stderr == ""


def test_a_kernel_without_the_call_gives_the_second_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    require_linux()
    monkeypatch.setattr(secretmem, "_MEMFD_SECRET", 100_000)  # ENOSYS
    assert SecretPage().kind == "locked"


def test_a_system_that_is_not_linux_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    require_linux()
    monkeypatch.delattr(os, "memfd_create")
    libc = mock.Mock(**{"mlock.return_value": 0})
    monkeypatch.setattr(secretmem, "_libc", libc)
    assert SecretPage().kind == "locked"
    libc.syscall.assert_not_called()


def test_without_randomness_there_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    page = SecretPage()
    monkeypatch.setattr(secretmem, "_libc", mock.Mock(**{"getentropy.return_value": -1}))
    with pytest.raises(BackendUnavailable, match="no randomness"):
        page.fill(32)
