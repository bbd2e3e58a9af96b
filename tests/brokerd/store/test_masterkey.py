"""Where the master key comes from, and what a keyring that misbehaves can do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from keyring.errors import KeyringLocked, PasswordSetError

from brokerd.store import masterkey
from brokerd.store.format import Argon2id
from brokershim.errors import KeyringUnavailable
from tests.support.memory_keyring import MemoryKeyring

STORE = "0" * 32


def test_a_made_key_is_read_again() -> None:
    keyring = MemoryKeyring()
    master = masterkey.make(keyring, STORE)
    assert len(master) == 32
    assert masterkey.read(keyring, STORE) == master
    assert list(keyring.entries) == [("brokerctl", STORE)]


def test_two_stores_have_two_keys() -> None:
    keyring = MemoryKeyring()
    assert masterkey.make(keyring, STORE) != masterkey.make(keyring, "1" * 32)


def test_a_keyring_without_the_key_says_so() -> None:
    assert masterkey.read(MemoryKeyring(), STORE) is None


def test_a_forgotten_key_is_gone() -> None:
    keyring = MemoryKeyring()
    masterkey.make(keyring, STORE)
    masterkey.forget(keyring, STORE)
    assert keyring.entries == {}


@pytest.mark.parametrize(
    "entry", ["", "short", "0" * 63, "0" * 65, "g" * 64, "A" * 64, "0" * 64 + "\n"]
)
def test_an_entry_that_is_no_key_is_refused(entry: str) -> None:
    keyring = MemoryKeyring()
    keyring.entries["brokerctl", STORE] = entry
    with pytest.raises(KeyringUnavailable, match="not a master key"):
        masterkey.read(keyring, STORE)


class _Forgetful(MemoryKeyring):
    def set_password(self, service: str, username: str, password: str) -> None:
        del service, username, password


def test_a_keyring_that_keeps_nothing_is_found_out() -> None:
    with pytest.raises(KeyringUnavailable, match="did not keep"):
        masterkey.make(_Forgetful(), STORE)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _refusals() -> list[Exception]:
    return [
        KeyringLocked("SECRET"),
        PasswordSetError("SECRET"),
        ConnectionResetError("SECRET"),
        TimeoutError("SECRET"),
        UnicodeDecodeError("utf-8", b"SECRET", 0, 1, "no"),
        *(_refusals_on_linux() if find_spec("secretstorage") else []),
    ]


def _refusals_on_linux() -> list[Exception]:
    jeepney = import_module("jeepney")
    call = jeepney.new_method_call(jeepney.DBusAddress("/", "a.b", "a.b"), "M")
    call.header.serial = 1
    call.header.fields[jeepney.HeaderFields.sender] = ":1.1"
    answer = jeepney.new_error(call, "a.b.Error", "s", ("SECRET",))
    exceptions = import_module("secretstorage.exceptions")
    return [exceptions.LockedException("SECRET"), jeepney.DBusErrorResponse(answer)]


@pytest.mark.parametrize("refusal", _refusals(), ids=lambda error: type(error).__name__)
def test_every_refusal_is_one_error_that_holds_nothing(refusal: Exception) -> None:
    keyring = MemoryKeyring()
    keyring.refuse = refusal
    for call in (masterkey.read, masterkey.make, masterkey.forget):
        with pytest.raises(KeyringUnavailable) as caught:
            call(keyring, STORE)
        assert type(refusal).__name__ in caught.value.message
        assert list(_chain(caught.value)) == [caught.value]


def test_the_key_derivation_is_the_second_of_rfc_9106() -> None:
    kdf = masterkey.new_kdf()
    assert (kdf.iterations, kdf.lanes, kdf.memory_kib, len(kdf.salt)) == (3, 4, 65536, 16)
    assert kdf.salt != masterkey.new_kdf().salt


def test_a_passphrase_makes_the_same_key_again_and_a_wrong_one_another() -> None:
    kdf = Argon2id(b"s" * 16, 1, 4, 32)
    master = masterkey.derive("correct horse", kdf)
    assert len(master) == 32
    assert masterkey.derive("correct horse", kdf) == master
    assert masterkey.derive("correct horsf", kdf) != master
    assert masterkey.derive("correct horse", replace(kdf, salt=b"t" * 16)) != master


def test_a_passphrase_is_the_same_on_every_keyboard() -> None:
    kdf = Argon2id(b"s" * 16, 1, 4, 32)
    assert masterkey.derive("schl\u00fcssel", kdf) == masterkey.derive("schlu\u0308ssel", kdf)


def test_any_text_is_a_passphrase() -> None:
    kdf = Argon2id(b"s" * 16, 1, 4, 32)
    assert masterkey.derive("\udcff not utf-8", kdf) != masterkey.derive("\udcfe not utf-8", kdf)


@pytest.mark.parametrize(
    "change",
    [
        {"salt": b""},
        {"salt": b"s" * 15},
        {"iterations": 2},
        {"iterations": 0},
        {"iterations": 1_000_000},
        {"lanes": 0},
        {"lanes": 1_000},
        {"memory_kib": 8},
        {"memory_kib": 2**31},
    ],
)
def test_parameters_that_are_too_weak_or_too_large_are_not_used(change: dict[str, Any]) -> None:
    kdf = masterkey.new_kdf()
    assert masterkey.is_acceptable(kdf)
    assert masterkey.is_acceptable(replace(kdf, iterations=4, memory_kib=2**17))
    assert not masterkey.is_acceptable(replace(kdf, **change))
