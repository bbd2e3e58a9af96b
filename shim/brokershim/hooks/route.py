"""Does a request without TLS reach this machine itself, or a proxy that would read its key?

Plain HTTP is let pass to loopback only (`brokershim.hosts`). Through a proxy it goes neither
straight there nor unread, whatever its URL says.
"""

from __future__ import annotations

from typing import Any

from brokershim.errors import HostNotAllowed

_STRAIGHT = ("ConnectionPool", "AsyncConnectionPool")
"""Of httpcore's pools, those that connect to the host itself; the others are its proxies."""


def check_route(transport: Any, url: Any) -> None:
    """Check that nobody on the way can read what is sent to a URL.

    Args:
        transport: What sends it: a transport of httpx or httpx2, or the app's own.
        url: Where it goes.

    Raises:
        HostNotAllowed: It goes through a proxy, in clear.
    """
    if url.scheme not in ("https", "wss") and _proxied(transport, url):
        raise HostNotAllowed(
            f"a key may not be sent to {url.host} over {url.scheme} through a proxy",
            hint="name the host in NO_PROXY, or use https",
        )


def _proxied(transport: Any, url: Any) -> bool:
    pool = getattr(transport, "_pool", None)
    if pool is not None:
        return type(pool).__name__ not in _STRAIGHT
    # Not httpx's own: LiteLLM's, over aiohttp, looks at the environment by itself.
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    named = url.scheme in proxies or "all" in proxies
    return named and not proxy_bypass(url.host)
