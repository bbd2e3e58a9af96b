"""May a key go to that host? (Pure.)"""

from __future__ import annotations

import functools
import ipaddress
from typing import NamedTuple

from brokershim.errors import HostNotAllowed

_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}
_ENCRYPTED = ("https", "wss")


class Target(NamedTuple):
    """Where a request goes.

    Attributes:
        scheme: In lower case.
        host: Without brackets; international names in their ASCII form (RFC 5891).
        port: None for the scheme's own.
    """

    scheme: str
    host: str
    port: int | None


@functools.lru_cache(maxsize=64)
def check_host(secret: str, hosts: tuple[str, ...], target: Target) -> None:
    """Check that a secret may be sent to a target.

    Hosts match exactly: a suffix rule would send the key to whoever can register a name below.

    Args:
        secret: The secret's name, for the message.
        hosts: ``host`` (any port), ``host:port``, ``[v6]`` or ``[v6]:port``.
        target: Where the request goes.

    Raises:
        HostNotAllowed: None of the hosts, or a connection that others can read.
    """
    host = _normal(target.host)
    port = target.port or _PORTS.get(target.scheme)
    if not any(name == host and number in (None, port) for name, number in map(_split, hosts)):
        raise HostNotAllowed(
            f"{secret} may not be sent to {_shown(host, target.port)}",
            hint="if you trust it, name every host that it may go to: as `hosts` in its table in "
            f"config.toml, if it has one, or by `brokerctl secret set {secret} --keep-value "
            f"--host {_shown(host, target.port)} --host …`",
        )
    if target.scheme not in _ENCRYPTED and not (target.scheme in _PORTS and is_loopback(host)):
        raise HostNotAllowed(
            f"{secret} may not be sent to {host} over {target.scheme}", hint="use https"
        )


def name_in(authority: str) -> str:
    """Return the host of a Host header (RFC 9110, section 7.2), without its port."""
    return _split(authority)[0]


def _split(entry: str) -> tuple[str, int | None]:
    """Return the host and port of an entry of a secret's hosts."""
    host, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and (":" not in host or host.endswith("]")):
        return _normal(host), int(port)
    return _normal(entry), None


def _normal(host: str) -> str:
    """Return a host in one spelling: lower case, no brackets, no root dot, short IPv6."""
    host = host.strip("[]").lower()
    host = host.removesuffix(".")
    if ":" in host:
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            return host
    return host


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    if host == "localhost":  # RFC 6761, section 6.3: always the loopback address
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"
