"""How does a key wait in memory without lying there in clear?

Sealed with ChaCha20-Poly1305 (RFC 8439) under a random key that stands in a `SecretPage`, and
opened only to be used.

What it buys: swap, a core dump, a copy of the process's memory, or a bug that reads one object
too far show ciphertext only, besides the keys that are in use at that very moment. The cipher's
own copies of the sealing key live as long as one call, and OpenSSL wipes them.

What it does not buy: an opened key is a `bytes` object on the Python heap. It cannot be wiped,
and it stays readable there until the memory is used again. So does what the caller makes of it,
such as a reply. And code that runs inside this process can open everything.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from brokerd.secretmem import Kind, SecretPage
from brokershim.errors import BrokerError

_KEY = 32
_NONCE = 12


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed value. Only the `Sealer` that made it opens it."""

    nonce: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)


class Sealer:
    """Seals values under a key that only this object has, and that dies with it.

    May be used by several threads at once.

    Raises:
        BackendUnavailable: The kernel gives no memory to keep the key in.
    """

    def __init__(self) -> None:
        self._page = SecretPage()
        self._page.fill(_KEY)

    @property
    def kind(self) -> Kind:
        """How the sealing key is kept; see `brokerd.secretmem`."""
        return self._page.kind

    def seal(self, plain: bytes, context: bytes) -> Sealed:
        """Seal a value.

        Args:
            plain: The value.
            context: What the value is for; only the same context opens it.

        Raises:
            ValueError: The sealer is closed.
        """
        # Random and not counted: a forked child would count on from the same number.
        nonce = os.urandom(_NONCE)
        return Sealed(nonce, self._cipher().encrypt(nonce, plain, context))

    def open(self, sealed: Sealed, context: bytes) -> bytes:
        """Return the value.

        Raises:
            BrokerError: It was sealed by another sealer or for another context, or changed.
            ValueError: The sealer is closed.
        """
        try:
            return self._cipher().decrypt(sealed.nonce, sealed.ciphertext, context)
        except InvalidTag:
            raise BrokerError("a sealed value does not open") from None

    def close(self) -> None:
        """Wipe the sealing key: nothing sealed with it can be opened again."""
        self._page.close()

    def _cipher(self) -> ChaCha20Poly1305:
        """Return a cipher for one call: one that is kept would keep the key on the heap."""
        return ChaCha20Poly1305(self._page.view(_KEY))
