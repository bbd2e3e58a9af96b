"""Where does a request hold references, and what does it look like with the keys? (Pure.)

References stand in header values, also inside Basic credentials (RFC 7617), and in the URL's
query, plain or percent-encoded. Paths and bodies are never touched. One that stands for the access
key of a signature for AWS stays where it is: `brokershim.sigv4` makes that anew.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Callable, NamedTuple
from urllib.parse import quote, unquote

from brokershim.delivery import PLAIN, Headers, arranged
from brokershim.errors import UsageError
from brokershim.held import Held
from brokershim.hosts import Target, check_host
from brokershim.reference import PREFIX, REFERENCE, reference
from brokershim.sigv4 import TOKEN, Signature, signature_of

Lookup = Callable[[str], str]

_PREFIX = PREFIX.encode()
_WORD = PREFIX.rstrip(":").encode()
_BASIC = b"basic "
_PRESIGNED = b"x-amz-credential="
_IN_QUERY = re.compile(
    REFERENCE.pattern.replace(":", "(?::|%3[Aa])", 1).replace("/", "(?:/|%2[Ff])")
)


class Found(NamedTuple):
    """A request that holds references.

    Attributes:
        headers: Names and values as they are sent.
        query: The URL's query without its question mark.
        places: Which of the headers hold one, but for those of the signature.
        signature: What was signed for AWS with a reference; None where nothing was.
    """

    headers: Headers
    query: bytes
    places: list[int]
    signature: Signature | None = None


class Keyed(NamedTuple):
    """The parts of a request that hold the keys. Keep it no longer than the request."""

    headers: Headers
    query: bytes

    def __repr__(self) -> str:
        """Show no key."""
        return "Keyed(...)"


def find(headers: Headers, query: bytes) -> Found | None:
    """Return where a request holds references; None if nowhere.

    Every request of the app comes through here, so all values are searched as one.
    """
    places = _places(headers)
    if places or (_WORD in query and _IN_QUERY.search(query.decode("latin-1"))):
        return _found(headers, query, places)
    return None


def _found(headers: Headers, query: bytes, places: list[int]) -> Found:
    """Return a request's references, with those of its signature apart from the others."""
    made = {at: signature_of(*headers[at]) for at in places}
    signature = next(filter(None, made.values()), None)
    if signature is not None:
        token = reference(signature.secret).encode()
        places = [
            at
            for at in places
            if made[at] is None and (headers[at][0].lower(), headers[at][1]) != (TOKEN, token)
        ]
    return Found(headers, query, places, signature)


def _places(headers: Headers) -> list[int]:
    values = b"\n".join([value for _, value in headers])
    places: list[int] = []
    if _PREFIX in values:
        places = [at for at, (_, value) in enumerate(headers) if _PREFIX in value]
    if _BASIC in values.lower():  # none of those above: base64 has no colon
        places += [at for at, (_, value) in enumerate(headers) if _PREFIX in _basic(value)]
    return places


def references(found: Found) -> list[str]:
    """Return the names of the secrets that a request refers to, each once.

    Raises:
        UsageError: A reference without a well-formed name, or in a URL that is signed with it.
    """
    if _PRESIGNED in found.query.lower():
        raise UsageError(
            "a URL cannot be signed with a reference: it would be a key for whoever has it",
            hint="send the request itself",
        )
    signers = [] if found.signature is None else [found.signature.secret]
    return list(dict.fromkeys([*signers, *_all_references(found)]))


def _all_references(found: Found) -> list[str]:
    names: list[str] = []
    for at in found.places:
        value = found.headers[at][1]
        names += _names(value if _PREFIX in value else _basic(value))
    if _WORD in found.query:
        names += map(unquote, _IN_QUERY.findall(found.query.decode("latin-1")))
    return names


def _names(value: bytes) -> list[str]:
    names = REFERENCE.findall(value.decode("latin-1"))
    if len(names) < value.count(_PREFIX):
        raise UsageError(
            f"'{PREFIX}' is not followed by a secret's name",
            hint=f"a reference looks like {PREFIX}openai/dev",
        )
    return names


def swap(target: Target, found: Found, leases: Mapping[str, Held]) -> Keyed:
    """Return a request's headers and query with the keys in the place of the references.

    A signature for AWS is left as it is.

    Args:
        target: Where the request goes.
        found: Where the references are.
        leases: For each name of `references` its lease.

    Raises:
        HostNotAllowed: A key may not go there.
        UsageError: A key may not stand there.
    """
    for name, held in leases.items():
        check_host(name, held.hosts, target)
        _check_signing(held, found)
        if held.delivery != PLAIN:
            found = _delivered(found, held)

    def key_of(name: str) -> str:
        return leases[name].value

    headers = found.headers.copy()
    for at in found.places:
        header, value = headers[at]
        headers[at] = header, _in_header(value, key_of)
    return Keyed(headers, _in_query(found.query, key_of))


def _check_signing(held: Held, found: Found) -> None:
    """Let what signs do nothing but that, and nothing else sign: what signs holds a secret key.

    Raises:
        UsageError: It is not so.
    """
    signs = found.signature is not None and found.signature.secret == held.name
    if held.delivery.signs and (not signs or held.name in _all_references(found)):
        raise UsageError(
            f"{held.name} signs requests to AWS (Signature Version 4), and stands in none",
            hint="its reference belongs in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    if signs and not held.delivery.signs:
        raise UsageError(
            f"{held.name} is no credentials of AWS, and cannot sign a request",
            hint='name a secret with `engine = "sts"` in AWS_ACCESS_KEY_ID',
        )


def _delivered(found: Found, held: Held) -> Found:
    """Return a request in which the reference to a secret stands where its key is to stand."""
    headers = arranged(found.headers, held.name, held.delivery)
    moved = _found(headers, found.query, _places(headers))
    if held.delivery.bearer and _all_references(moved).count(held.name) > 1:
        raise UsageError(
            f"{held.name} goes into the Authorization header, and stands elsewhere in the request",
            hint="give it to the SDK as its key, and put it nowhere else",
        )
    return moved


def _in_header(value: bytes, key_of: Lookup) -> bytes:
    if _PREFIX in value:
        return _in_text(value, key_of)
    return value[: len(_BASIC)] + base64.b64encode(_in_text(_basic(value), key_of))


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
