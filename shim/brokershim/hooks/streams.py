"""How does a response's body stay clear of the key while it is read?

The stream of a transport refers to the request that it answers, headers and all. The wrapper
hands its bytes on as they are, lets go of it at the end, and cleans the exceptions that come out.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

from brokershim.hooks.errors import cleaned
from brokershim.scrub import Scrubber


class _Guard:
    def __init__(self, module: Any, stream: Any, scrubber: Scrubber) -> None:
        self._module = module
        self._stream = stream
        self._scrubber = scrubber

    def _let_go(self) -> tuple[Any, Scrubber]:
        stream, self._stream = self._stream, self._module.ByteStream(b"")
        scrubber, self._scrubber = self._scrubber, Scrubber({})
        return stream, scrubber


class SyncGuard(_Guard):
    """Goes around a stream of ``Client``."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body's bytes."""
        try:
            yield from self._stream
            return
        except BaseException as error:  # noqa: BLE001 - raised again below, outside of its frames
            failure = error
        raise cleaned(self._module, failure, self._scrubber)

    def close(self) -> None:
        """Close the stream and let go of it."""
        stream, scrubber = self._let_go()
        try:
            stream.close()
            return
        except BaseException as error:  # noqa: BLE001 - as above
            failure = error
        failure = cleaned(self._module, failure, scrubber)
        del stream, scrubber
        raise failure


class AsyncGuard(_Guard):
    """Goes around a stream of ``AsyncClient``."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body's bytes."""
        parts = self._stream.__aiter__()
        try:
            async for part in parts:
                yield part
            return
        except BaseException as error:  # noqa: BLE001 - as above
            failure = error
        finally:
            if isinstance(parts, AsyncGenerator):  # trio wants it closed here, not by the gc
                await parts.aclose()
        del parts
        raise cleaned(self._module, failure, self._scrubber)

    async def aclose(self) -> None:
        """Close the stream and let go of it."""
        stream, scrubber = self._let_go()
        try:
            await stream.aclose()
            return
        except BaseException as error:  # noqa: BLE001 - as above
            failure = error
        failure = cleaned(self._module, failure, scrubber)
        del stream, scrubber
        raise failure


def guards(module: Any) -> tuple[Any, Any]:
    """Return both wrappers as a module's own kinds of stream, which its clients insist on."""
    return (
        type("SyncGuard", (SyncGuard, module.SyncByteStream), {}),
        type("AsyncGuard", (AsyncGuard, module.AsyncByteStream), {}),
    )
