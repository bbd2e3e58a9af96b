"""The six ways to call a provider: httpx and httpx2, sync, on asyncio and on trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import anyio
import httpx
import httpx2

REFERENCE = "brokerref:openai/dev"
BEARER = {"authorization": f"Bearer {REFERENCE}"}

QUICK = {"verify": False}
"""For clients that speak plain HTTP to this machine: reading all certificates takes longer."""
Options = dict[str, Any] | None


class Flavour(NamedTuple):
    """One way to call."""

    library: Any
    backend: str | None

    def __str__(self) -> str:
        return f"{self.library.__name__}-{self.backend or 'sync'}"

    def ask(self, url: str, method: str = "POST", *, client: Options = None, **how: Any) -> Any:
        """Return the response, read, of a client made for it."""
        how.setdefault("headers", BEARER)
        options = {**QUICK, **(client or {})}
        if self.backend is None:
            with self.library.Client(**options) as made:
                return made.request(method, url, **how)

        async def asked() -> Any:
            async with self.library.AsyncClient(**options) as made:
                return await made.request(method, url, **how)

        return self.run(asked)

    def streamed(self, url: str, reader: str, **how: Any) -> tuple[Any, Any]:
        """Return a response and what one of its methods to read it gave; a list if it iterates."""
        how.setdefault("headers", BEARER)
        if self.backend is None:
            with self.library.Client(**QUICK) as made, made.stream("POST", url, **how) as response:
                read = getattr(response, reader)()
                return response, read if isinstance(read, bytes) else list(read)

        async def asked() -> Any:
            client = self.library.AsyncClient(**QUICK)
            async with client as made, made.stream("POST", url, **how) as response:
                read = getattr(response, "a" + reader)()
                if reader == "read":
                    return response, await read
                return response, [part async for part in read]

        found: tuple[Any, Any] = self.run(asked)
        return found

    def run(self, work: Callable[[], Awaitable[Any]]) -> Any:
        """Run something on this flavour's event loop."""
        assert self.backend is not None
        return anyio.run(work, backend=self.backend)

    def transport(self, handle: Callable[[Any], Any]) -> Any:
        """Return a transport that calls a function, without a copy of anything."""
        base = self.library.AsyncBaseTransport if self.backend else self.library.BaseTransport

        async def ahandle(self: Any, request: Any) -> Any:
            del self
            return handle(request)

        def shandle(self: Any, request: Any) -> Any:
            del self
            return handle(request)

        methods = {"handle_request": shandle, "handle_async_request": ahandle}
        return type("Transport", (base,), methods)()


BACKENDS = (None, "asyncio", "trio")
FLAVOURS = [Flavour(library, backend) for library in (httpx, httpx2) for backend in BACKENDS]
ASYNC = [flavour for flavour in FLAVOURS if flavour.backend]
