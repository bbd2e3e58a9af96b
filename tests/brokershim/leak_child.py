"""An app that keeps all that it is shown, and then looks for the key in its own memory.

Run as ``python -m tests.brokershim.leak_child LIBRARY WAY URL`` in a session's environment. What
the key is it learns at the end, from stdin, backwards. It imports nothing that another
environment would not have.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import logging
import sys
from typing import Any

from tests.support.heap import holders_of

HEADERS = {"authorization": "Bearer brokerref:openai/dev", "x-request": "mine"}


class Keeper(logging.Handler):
    """Keeps every record, and what it says."""

    def __init__(self) -> None:
        super().__init__(0)
        self.kept: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append((record, record.getMessage()))


def sync(library: Any, url: str, kept: list[Any]) -> None:
    client = library.Client(timeout=2, follow_redirects=True)
    kept.append(client)
    for ask in (client.post, client.get):
        kept_of(lambda ask=ask: ask(url, headers=HEADERS), kept)
    kept_of(lambda: streamed(client, url), kept)


def streamed(client: Any, url: str) -> Any:
    with client.stream("POST", url, headers=HEADERS) as response:
        return response, list(response.iter_bytes())


def kept_of(ask: Any, kept: list[Any]) -> None:
    try:
        kept.append(ask())
    except Exception as error:  # noqa: BLE001 - whatever there is
        kept.append(error)


async def awaited(library: Any, url: str, kept: list[Any]) -> None:
    client = library.AsyncClient(timeout=2, follow_redirects=True)
    kept.append(client)
    for ask in (client.post, client.get):
        await akept_of(ask(url, headers=HEADERS), kept)
    await akept_of(astreamed(client, url), kept)
    await akept_of(asyncio.wait_for(client.get(url, headers=HEADERS), 0.3), kept)


async def astreamed(client: Any, url: str) -> Any:
    async with client.stream("POST", url, headers=HEADERS) as response:
        return response, [part async for part in response.aiter_bytes()]


async def akept_of(asked: Any, kept: list[Any]) -> None:
    try:
        kept.append(await asked)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever there is
        kept.append(error)


def main() -> None:
    library, way, url = importlib.import_module(sys.argv[1]), sys.argv[2], sys.argv[3]
    gc.disable()  # what only a cycle keeps alive can still be reached
    keeper = Keeper()
    logging.basicConfig(level=0, handlers=[keeper])
    kept: list[Any] = [keeper]
    if way == "sync":
        sync(library, url, kept)
    else:
        asyncio.run(awaited(library, url, kept))
    shown = [f"{type(thing).__name__}: {thing!s:.200}" for thing in kept[2:]]
    report(kept, shown)


def report(kept: list[Any], shown: list[str]) -> None:
    """Print what was shown and where the key was found, with all that was kept still alive."""
    from brokershim.holder import of_process

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    of_process().close()
    needle = sys.stdin.readline().strip()[::-1]
    found = holders_of(needle)
    planted = [needle + "!"]
    control = holders_of(needle + "!")
    json.dump({"shown": shown, "found": found, "control": len(control)}, sys.stdout)
    del planted, kept


if __name__ == "__main__":
    main()
