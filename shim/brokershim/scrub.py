"""In which shapes can a key turn up, and how is it taken out of what a provider says? (Pure.)

Providers repeat the key that they refuse, in clear, as JSON, as part of a URL or as Basic
credentials. Nothing here compiles a key into a pattern: `re` keeps its patterns in a cache.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

from brokershim.reference import reference

_SHORTEST = 8
"""Characters that a part of a base64 text must have to be told from chance."""
_ESCAPE = re.compile("%[0-9A-F]{2}")


def forms_of(key: str) -> tuple[str, ...]:
    """Return the texts that give a key away, the longest first.

    Args:
        key: The key, in printable ASCII.
    """
    as_json = json.dumps(key)[1:-1]
    in_urls = (quote(key, safe=""), quote(key))
    forms = {
        key,
        as_json,
        as_json.replace("/", "\\/"),
        repr(key.encode())[2:-1],
        *in_urls,
        *(_ESCAPE.sub(lambda match: match[0].lower(), in_url) for in_url in in_urls),
        *_inside_base64(key.encode()),
    }
    return tuple(sorted(forms, key=len, reverse=True))


def _inside_base64(key: bytes) -> Iterator[str]:
    """Yield what a key looks like inside base64 (RFC 4648), wherever in the text it begins.

    Basic credentials are the base64 of ``user:key``. Three bytes become four characters, so
    there are three cases. The characters at both ends are made of neighbours' bits as well, and
    are left out.
    """
    for before in range(3):
        text = base64.b64encode(bytes(before) + key).decode()
        inner = text[(0, 2, 3)[before] : (before + len(key)) * 8 // 6]
        if len(inner) >= _SHORTEST:
            yield inner
            yield inner.replace("+", "-").replace("/", "_")


class Scrubber:
    """Puts references back in the place of some keys. Its repr shows no key.

    Args:
        keys: For each secret's name its key.
        others: What these put back, it does too.
    """

    def __init__(self, keys: Mapping[str, str], others: Iterable[Scrubber] = ()) -> None:
        self._texts = [(form, reference(name)) for name in keys for form in forms_of(keys[name])]
        self._texts += [pair for other in others for pair in other._texts]
        self._bytes = [(form.encode(), ref.encode()) for form, ref in self._texts]

    def text(self, text: str) -> str:
        """Return a text without the keys; the same object where it holds none."""
        for form, ref in self._texts:
            if form in text:
                text = text.replace(form, ref)
        return text

    def data(self, data: bytes) -> bytes:
        """Return bytes without the keys; the same object where they hold none."""
        for form, ref in self._bytes:
            if form in data:
                data = data.replace(form, ref)
        return data
