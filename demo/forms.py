"""In which forms could a key be written down? (Pure.)

Written apart from the shim's own scrubbing on purpose: a proof that shares code with what it
judges shares its mistakes.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from urllib.parse import quote

_SHORTEST = 16
"""Characters below which a form would be found by chance."""
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Needles:
    """Every form of some keys. Its repr shows no key.

    Args:
        keys: The keys, in ASCII.

    Raises:
        ValueError: There is none, or one is so short that it would be found by chance.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._forms: dict[bytes, str] = {}
        for key in keys:
            if len(key) < _SHORTEST:
                raise ValueError(f"a key to search for is under {_SHORTEST} characters")
            for form, name in _forms(key.encode("ascii")):
                self._forms.setdefault(form, name)
        if not self._forms:
            raise ValueError("there is no key to search for")
        self.longest = max(map(len, self._forms))
        """Bytes of the longest form."""

    def find(self, data: bytes) -> str | None:
        """Return the name of a form that stands in the data, or None."""
        for form, name in self._forms.items():
            if form in data:
                return name
        return None


def _forms(key: bytes) -> Iterator[tuple[bytes, str]]:
    yield key, "in clear"
    for inner in _inside_base64(key):
        yield inner, "in base64"
        yield inner.translate(_URL_SAFE), "in base64, URL-safe"
    for url in (quote(key, safe="").encode(), b"".join(b"%%%02X" % byte for byte in key)):
        yield url, "percent-encoded"
        yield _lower_escapes(url), "percent-encoded"


def _inside_base64(key: bytes) -> Iterator[bytes]:
    """Yield what the key looks like inside longer base64 (RFC 4648), wherever it begins.

    Three bytes become four characters, so there are three cases. The characters at both ends
    also hold bits of the neighbours, and are left out.
    """
    for before in range(3):
        text = base64.b64encode(bytes(before) + key)
        first = (0, 2, 3)[before]
        last = (before + len(key)) * 8 // 6
        yield text[first:last]


def _lower_escapes(url: bytes) -> bytes:
    head, *parts = url.split(b"%")
    return head + b"".join(b"%" + part[:2].lower() + part[2:] for part in parts)
