"""What is known of a provider, and for how long is it believed?"""

from __future__ import annotations

import threading
from typing import Any, cast

from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet

from brokerd import http
from brokerd.identities.oidc import metadata
from brokerd.identities.oidc.clocks import Clocks
from brokerd.identities.oidc.metadata import Metadata
from brokershim.errors import ServerDown

_BELIEVED_SECONDS = 3600.0
_PAUSE_SECONDS = 60.0
"""Between two looks for a key that is not there: whoever can show us tokens must not be able to
make us a flood at the provider."""
_ASYMMETRIC = ("RSA", "EC", "OKP")
_OK = 200


class Provider:
    """Asks a provider for its metadata and its keys, and remembers them for a while.

    Args:
        issuer: The provider.
        clocks: What time it is.
    """

    def __init__(self, issuer: str, clocks: Clocks) -> None:
        self.issuer = issuer
        self._clocks = clocks
        self._lock = threading.Lock()
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def metadata(self) -> Metadata:
        """Return what the provider says of itself.

        Raises:
            ServerDown: It cannot be reached, or its document is wrong.
            IdentityUnavailable: It cannot do what is needed.
        """
        with self._lock:
            now = self._clocks.boot()
            if self._metadata is None or now - self._metadata[0] > _BELIEVED_SECONDS:
                reply = http.get(metadata.url_of(self.issuer))
                found = metadata.parse(self.issuer, _document(reply))
                self._metadata = (now, found)
            return self._metadata[1]

    def keys(self) -> KeySet:
        """Return the keys that the provider signs with.

        Raises:
            ServerDown: It cannot be reached, or shows no key.
            IdentityUnavailable: It cannot do what is needed.
        """
        return self._keys_of(_BELIEVED_SECONDS)

    def newer_keys(self) -> KeySet:
        """Return the keys once more, after one was missing among them. Raises as `keys`."""
        return self._keys_of(_PAUSE_SECONDS)

    def _keys_of(self, age: float) -> KeySet:
        url = self.metadata().jwks
        with self._lock:
            now = self._clocks.boot()
            if self._keys is None or now - self._keys[0] > age:
                self._keys = (now, _key_set(self.issuer, _document(http.get(url))))
            return self._keys[1]


def _document(reply: http.Reply) -> dict[str, Any]:
    """Return what a reply holds; nothing where it is no success, whatever its body says."""
    return reply.document() if reply.status == _OK else {}


def _key_set(issuer: str, document: dict[str, Any]) -> KeySet:
    """Return the usable keys of a JSON Web Key Set (RFC 7517, section 5)."""
    listed: object = document.get("keys")
    entries = cast("list[object]", listed) if isinstance(listed, list) else []
    keys = [key for entry in entries if (key := _key(entry)) is not None]
    if not keys:
        raise ServerDown(f"{issuer} shows no key that it could sign with")
    return KeySet(keys)


def _key(entry: object) -> Key | None:
    """Return a public key; None for what is none, or of a kind that is not known (yet)."""
    if not isinstance(entry, dict):
        return None
    found = cast("dict[str, Any]", entry)
    if found.get("kty") not in _ASYMMETRIC:  # a shared secret that everyone can read proves nothing
        return None
    try:
        return JWKRegistry.import_key(found)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
