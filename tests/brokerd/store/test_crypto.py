"""A value opens in its own place only, and every edit of the document is found."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from brokerd.store import crypto
from brokerd.store.crypto import (
    Place,
    check_of,
    fits,
    is_genuine,
    mac_of,
    seal,
    unseal,
)
from brokerd.store.format import Document, FormatError, Parsed

MASTER, OTHER = b"m" * 32, b"o" * 32
HERE = Place("store", "openai/dev", 1)
DOCUMENT = Document("store", 1, None, check_of(MASTER, "store"), {}, {})


def test_a_value_opens_where_it_belongs() -> None:
    assert unseal(MASTER, HERE, seal(MASTER, HERE, b"sk-value")) == b"sk-value"


def test_the_same_value_never_looks_the_same() -> None:
    assert seal(MASTER, HERE, b"sk-value") != seal(MASTER, HERE, b"sk-value")


@pytest.mark.parametrize(
    "place",
    [
        HERE._replace(store="other"),
        HERE._replace(name="openai/prod"),
        HERE._replace(number=2),
        Place("store", "openai/de", 1),
    ],
)
def test_a_value_does_not_open_elsewhere(place: Place) -> None:
    with pytest.raises(FormatError, match="does not open"):
        unseal(MASTER, place, seal(MASTER, HERE, b"sk-value"))


def test_no_two_places_are_the_same_bytes() -> None:
    value = seal(MASTER, Place("a", 'b", 1', 1), b"sk-value")
    with pytest.raises(FormatError):
        unseal(MASTER, Place("a", "b", 1), value)


def test_another_master_key_opens_nothing() -> None:
    with pytest.raises(FormatError):
        unseal(OTHER, HERE, seal(MASTER, HERE, b"sk-value"))


@pytest.mark.parametrize("length", range(12 + 16))
def test_what_is_too_short_to_be_sealed_does_not_open(length: int) -> None:
    with pytest.raises(FormatError):
        unseal(MASTER, HERE, seal(MASTER, HERE, b"")[:length])


def test_the_check_tells_the_right_key_and_is_no_key() -> None:
    assert fits(MASTER, DOCUMENT)
    assert not fits(OTHER, DOCUMENT)
    assert not fits(MASTER, replace(DOCUMENT, id="other"))
    sealed = seal(MASTER, HERE, b"sk-value")
    with pytest.raises(InvalidTag):  # it stands in the file, for all who can read that
        ChaCha20Poly1305(check_of(MASTER, "store")).decrypt(
            sealed[:12], sealed[12:], crypto._context(HERE)
        )


def test_each_purpose_has_a_key_of_its_own() -> None:
    keys = {crypto._key(MASTER, "store", each) for each in ("check", "document", "value")}
    keys |= {crypto._key(MASTER, "other", "value"), crypto._key(OTHER, "store", "value")}
    assert len(keys) == 5


def test_the_mac_tells_a_document_from_every_other() -> None:
    mac = mac_of(MASTER, DOCUMENT)
    assert is_genuine(MASTER, Parsed(DOCUMENT, mac))
    assert not is_genuine(MASTER, Parsed(replace(DOCUMENT, generation=2), mac))
    assert not is_genuine(MASTER, Parsed(replace(DOCUMENT, retired={"a": 1}), mac))
    assert not is_genuine(OTHER, Parsed(DOCUMENT, mac))
    assert not is_genuine(MASTER, Parsed(DOCUMENT, b""))
