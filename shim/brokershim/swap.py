"""Where does a request hold references, and what does it look like with the keys? (Pure.)

References stand in header values, also inside Basic credentials (RFC 7617), and in the URL's
query, plain or percent-encoded. Paths and bodies are never touched.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Callable, NamedTuple
from urllib.parse import quote, unquote

from brokershim.errors import UsageError
from brokershim.held import Held
from brokershim.hosts import Target, check_host
from brokershim.reference import PREFIX, REFERENCE

Headers = list[tuple[bytes, bytes]]
Lookup = Callable[[str], str]

_PREFIX = PREFIX.encode()
_WORD = PREFIX.rstrip(":").encode()
_BASIC = b"basic "
_IN_QUERY = re.compile(
    REFERENCE.pattern.replace(":", "(?::|%3[Aa])", 1).replace("/", "(?:/|%2[Ff])")
)


class Keyed(NamedTuple):
    """The parts of a request that hold the keys. Keep it no longer than the request."""

    headers: Headers
    query: bytes

    def __repr__(self) -> str:
        """Show no key."""
        return "Keyed(...)"


def carries(headers: Headers, query: bytes) -> bool:
    """Return whether a request holds a reference: quick, for every request of the app."""
    if _WORD in query and _IN_QUERY.search(query.decode("latin-1")):
        return True
    for _, value in headers:
        if _PREFIX in value or (value[:1] in b"Bb" and _PREFIX in _basic(value)):
            return True
    return False


def references(headers: Headers, query: bytes) -> list[str]:
    """Return the names of the secrets that a request refers to, each once.

    Raises:
        UsageError: A reference without a well-formed name.
    """
    names: list[str] = []
    for _, value in headers:
        if _PREFIX in value:
            names += _names(value)
        elif value[:1] in b"Bb":
            names += _names(_basic(value))
    if _WORD in query:
        names += map(unquote, _IN_QUERY.findall(query.decode("latin-1")))
    return list(dict.fromkeys(names))


def _names(value: bytes) -> list[str]:
    names = REFERENCE.findall(value.decode("latin-1"))
    if len(names) < value.count(_PREFIX):
        raise UsageError(
            f"'{PREFIX}' is not followed by a secret's name",
            hint=f"a reference looks like {PREFIX}openai/dev",
        )
    return names


def swap(target: Target, headers: Headers, query: bytes, leases: Mapping[str, Held]) -> Keyed:
    """Return a request's headers and query with the keys in the place of the references.

    Args:
        target: Where the request goes.
        headers: Names and values as they are sent.
        query: The URL's query without its question mark.
        leases: For each name of `references` its lease.

    Raises:
        HostNotAllowed: A key may not go there.
    """
    for name, held in leases.items():
        check_host(name, held.hosts, target)

    def key_of(name: str) -> str:
        return leases[name].value

    swapped = [  # the test of each value stands here, not in a function, for the sake of speed
        (name, _in_header(value, key_of) if _PREFIX in value or value[:1] in b"Bb" else value)
        for name, value in headers
    ]
    return Keyed(swapped, _in_query(query, key_of))


def _in_header(value: bytes, key_of: Lookup) -> bytes:
    if _PREFIX in value:
        return _in_text(value, key_of)
    if _PREFIX in _basic(value):
        return value[: len(_BASIC)] + base64.b64encode(_in_text(_basic(value), key_of))
    return value


def _basic(value: bytes) -> bytes:
    """Return the credentials of a Basic header value, decoded; nothing for any other."""
    if value[: len(_BASIC)].lower() != _BASIC:
        return b""
    try:
        return base64.b64decode(value[len(_BASIC) :].strip(), validate=True)
    except binascii.Error:
        return b""


def _in_text(value: bytes, key_of: Lookup) -> bytes:
    # A function, not a text: `re` keeps a cache of the texts that it was given to put in.
    text = REFERENCE.sub(lambda match: key_of(match[1]), value.decode("latin-1"))
    return text.encode("latin-1")


def _in_query(query: bytes, key_of: Lookup) -> bytes:
    if _WORD not in query:
        return query

    def quoted(match: re.Match[str]) -> str:
        return quote(key_of(unquote(match[1])), safe="")

    return _IN_QUERY.sub(quoted, query.decode("latin-1")).encode("latin-1")
