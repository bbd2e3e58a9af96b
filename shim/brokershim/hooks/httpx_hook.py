"""Where do keys get into the requests of httpx and httpx2?

In ``_send_single_request``, which is called for each hop: after a redirect to another host the
request there carries the reference, not the key. The client's own code runs unchanged around a
stand-in for its transport, so what it logs, and attaches to responses, is the app's own request.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, Callable

from brokershim.holder import Holder
from brokershim.hooks import logs
from brokershim.hooks.hop import AsyncHop, Kit, SyncHop
from brokershim.hooks.requests import found_in
from brokershim.hooks.streams import guards
from brokershim.swap import Found

_METHOD = "_send_single_request"
_MARK = "_brokershim_patched"


def patch(module: Any, holder: Holder) -> None:
    """Make the clients of httpx or httpx2 swap references for keys; twice is no different.

    Where a client lacks the method, one line on stderr says so. References then go upstream as
    they are, and are refused there.
    """
    logs.install()
    hops = zip((module.Client, module.AsyncClient), (SyncHop, AsyncHop), guards(module))
    for client, hop, guard in hops:
        original = getattr(client, _METHOD, None)
        if original is None:
            _say(f"{module.__name__} has no {_METHOD}: references are not swapped for keys")
        elif not hasattr(original, _MARK):
            setattr(client, _METHOD, _patched(original, hop, Kit(module, guard, holder)))


def _patched(original: Any, hop: Any, kit: Kit) -> Callable[[Any, Any], Any]:
    """Return the method for a client; for an async one, what it returns is to be awaited."""

    @functools.wraps(original)
    def send(self: Any, request: Any) -> Any:
        found = found_in(request)
        if found is None:
            return original(self, request)
        return original(_View(self, hop, kit, found), request)

    setattr(send, _MARK, True)
    return send


class _View:
    """A client with another transport, for one request; all else is the client's own."""

    __slots__ = ("_client", "_found", "_hop", "_kit")

    def __init__(self, client: Any, hop: Any, kit: Kit, found: Found) -> None:
        self._client = client
        self._hop = hop
        self._kit = kit
        self._found = found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def _transport_for_url(self, url: Any) -> Any:
        return self._hop(self._kit, self._client._transport_for_url(url), self._found)


def _say(line: str) -> None:
    sys.stderr.write(f"brokershim: {line}\n")
