"""How is a host written that a key may be sent to? (Pure.)

Hosts are compared exactly, so one that is written down in a way that no request ever has would
allow nothing, and one that two programs read differently would allow too much. Both are refused.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from brokershim.errors import UsageError

_MOST = 32
_LAST_PORT = 65_535
_LONGEST_NAME = 253
"""RFC 1035, section 2.3.4, without the length bytes and the root."""
_SHAPE = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(?::([1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_HINT = "a host looks like api.openai.com, localhost:8080 or [::1]:8080: no scheme, path or '*'"


def normalise(hosts: Sequence[str]) -> tuple[str, ...]:
    """Return hosts in their one spelling, each once, in the order given.

    Args:
        hosts: Each ``name``, ``name:port``, an IPv4 address or an IPv6 one in brackets; with
            no port, any port is meant.

    Raises:
        UsageError: There is none, there are too many, or one is not a host. The message does
            not repeat it: it may be a key, pasted in the wrong place.
    """
    found = tuple(dict.fromkeys(_normal(host) for host in hosts))
    if not found:
        raise UsageError("no host to send the key to", hint="name one with --host HOST")
    if len(found) > _MOST:
        raise UsageError(f"over {_MOST} hosts", hint="make a secret for each group of hosts")
    return found


def _normal(host: str) -> str:
    shape = _SHAPE.fullmatch(host.lower()) if host.isascii() else None
    if shape is None:
        raise UsageError("a host is not written as one", hint=_HINT)
    name, port = shape.groups()
    name = _address(name) if _is_address(name) else _checked(name)
    if port is None:
        return name
    if int(port) > _LAST_PORT:
        raise UsageError(f"a host's port is over {_LAST_PORT}", hint=_HINT)
    return f"{name}:{port}"


def _is_address(name: str) -> bool:
    """Return whether a URL's host of this form is an address (WHATWG URL, "ends in a number")."""
    return name.startswith("[") or _NUMBER.fullmatch(name.rpartition(".")[2]) is not None


def _address(name: str) -> str:
    """Return an address in its short form; 127.1 or 0x7f000001 is an address to some, so to none.

    Raises:
        UsageError: It is none.
    """
    try:
        if name.startswith("["):
            return f"[{ipaddress.IPv6Address(name[1:-1])}]"
        return str(ipaddress.IPv4Address(name))
    except ValueError:
        raise UsageError("a host is a malformed address", hint=_HINT) from None


def _checked(name: str) -> str:
    """Return a name whose parts follow RFC 1123, section 2.1."""
    if len(name) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise UsageError("a host is not written as one", hint=_HINT)
    return name
