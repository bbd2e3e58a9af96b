"""In which shapes can a key turn up, and how is it taken out of what a provider says? (Pure.)

Providers repeat the key that they refuse, in clear, as JSON, as part of a URL or as Basic
credentials. Nothing here compiles a key into a pattern: `re` keeps its patterns in a cache.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from brokershim.reference import reference

_SHORTEST = 8
"""Characters that a part of a base64 text must have to be told from chance."""

Forms = tuple[str, ...]


def forms_of(key: str) -> Forms:
    """Return the texts that give a key away, the longest first.

    Args:
        key: The key, in printable ASCII.
    """
    as_json = json.dumps(key)[1:-1]
    forms = {key, as_json, as_json.replace("/", "\\/"), repr(key.encode())[2:-1]}
    url = quote(key, safe="")
    forms |= {url, url.lower() if url != key else url}
    forms.update(_inside_base64(key.encode()))
    return tuple(sorted(forms, key=len, reverse=True))


def _inside_base64(key: bytes) -> Iterator[str]:
    """Yield what a key looks like inside base64 (RFC 4648), wherever it begins in the text.

    Basic credentials are the base64 of ``user:key``. Three bytes become four characters, so
    the key's own characters depend on how far into such a group it begins. Characters that it
    shares with its neighbours are left out.
    """
    for before in range(3):
        text = base64.b64encode(b"\0" * before + key).decode()
        shared_end = 4 - (before + len(key)) % 3 if (before + len(key)) % 3 else 0
        inner = text[(0, 2, 3)[before] : len(text) - shared_end]
        if len(inner) >= _SHORTEST:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")


class Scrubber:
    """Puts references back in the place of some keys. Its repr shows no key.

    Args:
        keys: For each secret its name and the forms of its key.
    """

    def __init__(self, keys: Iterable[tuple[str, Forms]]) -> None:
        self._pairs: list[tuple[str, str]] = [
            (form, reference(name)) for name, forms in keys for form in forms
        ]
        self._bytes = [(form.encode(), ref.encode()) for form, ref in self._pairs]

    def text(self, text: str) -> str:
        """Return a text without the keys."""
        for form, ref in self._pairs:
            if form in text:
                text = text.replace(form, ref)
        return text

    def data(self, data: bytes) -> bytes:
        """Return bytes without the keys."""
        for form, ref in self._bytes:
            if form in data:
                data = data.replace(form, ref)
        return data
