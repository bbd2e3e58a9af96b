"""A sealed key opens for who sealed it, and shows itself to nobody else."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from unittest import mock

import pytest

from brokerd import secretmem
from brokerd.sealed import Sealed, Sealer
from brokershim.errors import BackendUnavailable, BrokerError
from tests.support.memory_pages import require_memfd_secret
from tests.support.require import require_linux

KEY = b"sk-this-is-the-key"


def test_what_was_sealed_opens() -> None:
    sealer = Sealer()
    assert sealer.open(sealer.seal(KEY, b"context"), b"context") == KEY
    assert sealer.open(sealer.seal(b"", b""), b"") == b""


def test_it_opens_for_its_context_only() -> None:
    sealer = Sealer()
    with pytest.raises(BrokerError, match="does not open"):
        sealer.open(sealer.seal(KEY, b"openai/dev"), b"openai/prod")


def test_another_sealer_does_not_open_it() -> None:
    with pytest.raises(BrokerError, match="does not open"):
        Sealer().open(Sealer().seal(KEY, b""), b"")


@pytest.mark.parametrize("at", [0, 5, -1])
def test_a_changed_value_does_not_open(at: int) -> None:
    sealer = Sealer()
    sealed = sealer.seal(KEY, b"")
    changed = bytearray(sealed.ciphertext)
    changed[at] ^= 1
    with pytest.raises(BrokerError, match="does not open"):
        sealer.open(Sealed(sealed.nonce, bytes(changed)), b"")


def test_the_same_value_never_looks_the_same() -> None:
    sealer = Sealer()
    assert sealer.seal(KEY, b"") != sealer.seal(KEY, b"")


def test_nothing_shows_the_key() -> None:
    sealed = Sealer().seal(KEY, b"context")
    assert repr(sealed) == str(sealed) == "Sealed()"
    assert KEY not in pickle.dumps(sealed)


def test_an_error_shows_nothing_either() -> None:
    sealer = Sealer()
    sealed = sealer.seal(KEY, b"")
    with pytest.raises(BrokerError) as caught:
        sealer.open(sealed, b"other")
    assert repr(sealed.ciphertext) not in repr(caught.value) + repr(caught.value.__context__)


def test_a_closed_sealer_does_nothing_more() -> None:
    sealer = Sealer()
    sealed = sealer.seal(KEY, b"")
    sealer.close()
    sealer.close()
    with pytest.raises(ValueError, match="closed"):
        sealer.open(sealed, b"")
    with pytest.raises(ValueError, match="closed"):
        sealer.seal(KEY, b"")


def test_closing_while_others_open_harms_nobody() -> None:
    for _ in range(20):
        sealer = Sealer()
        sealed = sealer.seal(KEY, b"")

        def work(sealer: Sealer = sealer, sealed: Sealed = sealed) -> None:
            for _ in range(100_000):  # far more than there is time for
                try:
                    assert sealer.open(sealed, b"") == KEY
                except (BrokerError, ValueError):
                    return
            raise AssertionError("it was never closed")

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        sealer.close()
        for thread in threads:
            thread.join()
        with pytest.raises((BrokerError, ValueError)):
            sealer.open(sealed, b"")


def test_without_memory_to_keep_the_key_in_there_is_no_sealer() -> None:
    with (
        mock.patch.object(secretmem, "_secret", side_effect=OSError),
        mock.patch.object(secretmem, "_locked", side_effect=OSError(12, "Cannot allocate memory")),
        pytest.raises(BackendUnavailable, match="Cannot allocate memory") as caught,
    ):
        Sealer()
    assert "ulimit -l" in caught.value.hint


# The sealing key is compared with its complement, so that the search itself makes no copy.
_SEARCH = """
import sys
from unittest import mock
from brokerd import secretmem
from brokerd.sealed import Sealer

if sys.argv[1] == "locked":
    mock.patch.object(secretmem, "_secret", side_effect=OSError).start()
sealer = Sealer()
assert sealer.kind == sys.argv[1], sealer.kind
sealed = [sealer.seal(b"value", b"") for _ in range(100)]
for each in sealed:
    assert sealer.open(each, b"") == b"value"
inverse = bytes(byte ^ 255 for byte in sealer._page.view(32))
head = bytes(byte ^ 255 for byte in inverse[:3])
places = []

def look(data, place):
    at = data.find(head)
    while at >= 0:
        if all(data[at + i] ^ 255 == byte for i, byte in enumerate(inverse) if at + i < len(data)):
            places.append(place)
        at = data.find(head, at + 1)

planted = bytearray(byte ^ 255 for byte in inverse) if "plant" in sys.argv else b""
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
    for line in maps.readlines():
        area, rights, *_, name = (line.split() + [""])[:6]
        start, end = (int(each, 16) for each in area.split("-"))
        if "r" not in rights or name.startswith("[v"):
            continue
        try:
            memory.seek(start)
            look(memory.read(end - start), name)
        except OSError:
            print("unreadable", name if name.startswith("/") else "other")
print(len(places))
"""


def _search(*args: str) -> list[str]:
    command = [sys.executable, "-c", _SEARCH, *args]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_not_even_the_process_itself_can_read_the_sealing_key_from_proc() -> None:
    require_linux()
    require_memfd_secret()
    assert _search("memfd_secret") == ["unreadable /secretmem", "0"]


def test_in_locked_memory_the_sealing_key_stands_once() -> None:
    require_linux()
    assert _search("locked") == ["1"]


def test_the_search_finds_a_copy_on_the_heap() -> None:
    require_linux()
    assert _search("locked", "plant") == ["2"]
