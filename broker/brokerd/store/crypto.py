"""How are the store's values sealed, and how is the whole of it vouched for?

Of the master key and the store's id, HKDF (RFC 5869) makes one key for each purpose. A value is
sealed with ChaCha20-Poly1305 (RFC 8439), bound to the store, the secret's name and the version, so
that one put in another's place does not open. An HMAC-SHA-256 (RFC 2104) over everything else
finds what was edited, removed, added or put in another order.
"""

from __future__ import annotations

import hmac
import json
import os
from typing import Literal, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from brokerd.store.format import Document, FormatError, Parsed, body

KEY_BYTES = 32
_NONCE = 12
_Purpose = Literal["check", "document", "value"]


class Place(NamedTuple):
    """Where a value belongs; it opens nowhere else."""

    store: str
    name: str
    number: int


def seal(master: bytes, place: Place, value: bytes) -> bytes:
    """Return a value sealed for its place: the nonce, then the ciphertext and its tag."""
    nonce = os.urandom(_NONCE)
    cipher = ChaCha20Poly1305(_key(master, place.store, "value"))
    return nonce + cipher.encrypt(nonce, value, _context(place))


def unseal(master: bytes, place: Place, sealed: bytes) -> bytes:
    """Return the value that was sealed for a place.

    Raises:
        FormatError: It was not sealed for this place with this key.
    """
    cipher = ChaCha20Poly1305(_key(master, place.store, "value"))
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _context(place))
    except (InvalidTag, ValueError):  # ValueError: it is shorter than a nonce
        raise FormatError(f"the value of {place.name} does not open") from None


def check_of(master: bytes, store: str) -> bytes:
    """Return what tells this master key from another, and tells nothing else about it."""
    return _key(master, store, "check")


def fits(master: bytes, document: Document) -> bool:
    """Return whether this is the store's master key."""
    return hmac.compare_digest(check_of(master, document.id), document.check)


def mac_of(master: bytes, document: Document) -> bytes:
    """Return the mac of a document."""
    return hmac.digest(_key(master, document.id, "document"), body(document), "sha256")


def is_genuine(master: bytes, parsed: Parsed) -> bool:
    """Return whether a document is, to the last byte, as a holder of the key wrote it."""
    return hmac.compare_digest(mac_of(master, parsed.document), parsed.mac)


def _key(master: bytes, store: str, purpose: _Purpose) -> bytes:
    info = f"brokerctl store 1 {purpose}".encode()
    return HKDF(SHA256(), KEY_BYTES, salt=store.encode(), info=info).derive(master)


def _context(place: Place) -> bytes:
    """Return the place as bytes; as JSON, so that no two places have the same."""
    return json.dumps(place).encode("ascii")
