"""An app that calls a provider which fails in each way; ``LIBRARY MODE URL WAY…``."""

from __future__ import annotations

import asyncio
import importlib
import sys
from typing import Any

from tests.brokershim.search import Kept

HEADERS = {"authorization": "Bearer brokerref:openai/dev"}
PATIENCE = 0.3
"""Seconds to wait for one that stalls."""


def asked(library: Any, urls: list[str], kept: list[Any]) -> None:
    client = library.Client(timeout=PATIENCE, follow_redirects=True, verify=False)
    kept.append(client)
    for url in urls:
        for ask in (client.post, client.get, lambda url, **how: streamed(client, url, how)):
            try:
                kept.append(ask(url, headers=HEADERS))
            except Exception as error:  # noqa: BLE001 - whatever there is
                kept.append(error)


def streamed(client: Any, url: str, how: dict[str, Any]) -> Any:
    with client.stream("POST", url, **how) as response:
        return response, list(response.iter_bytes())


async def aasked(library: Any, urls: list[str], kept: list[Any]) -> None:
    client = library.AsyncClient(timeout=PATIENCE, follow_redirects=True, verify=False)
    kept.append(client)
    for url in urls:
        for asking in (
            client.post(url, headers=HEADERS),
            astreamed(client, url),
            asyncio.wait_for(client.get(url, headers=HEADERS), PATIENCE / 2),
        ):
            try:
                kept.append(await asking)
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever
                kept.append(error)


async def astreamed(client: Any, url: str) -> Any:
    async with client.stream("POST", url, headers=HEADERS) as response:
        return response, [part async for part in response.aiter_bytes()]


async def amain(library: Any, urls: list[str], kept: Kept) -> None:
    await aasked(library, urls, kept.things)
    report(kept)  # while the loop's worker threads still idle


def report(kept: Kept) -> None:
    kept.report(shown=[f"{type(thing).__name__}: {thing!s:.200}" for thing in kept.things])


def main() -> None:
    kept = Kept()
    library, mode, base = importlib.import_module(sys.argv[1]), sys.argv[2], sys.argv[3]
    urls = [f"{base}/{way}" for way in sys.argv[4:]]
    if mode == "async":
        asyncio.run(amain(library, urls, kept))
    else:
        asked(library, urls, kept.things)
        report(kept)


if __name__ == "__main__":
    main()
