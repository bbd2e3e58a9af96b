"""What do fifty processes do that want a key at once? (A program that `bench.exchange` starts.)

    python -m bench.fifty lease SOCKET           each leases it from the broker
    python -m bench.fifty sdk URL TOKENS         each exchanges a token of its own for one, with
                                                 the vendor's SDK

They are forked once all is imported, and set off together. Prints the seconds until the last one
has its key.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.federated import SETTINGS

PROCESSES = 50
SECRET = "anthropic/bench"  # noqa: S105  (a name)


def main() -> None:
    """Do what the arguments say."""
    kind, where, *more = sys.argv[1:]
    work = _lease(where) if kind == "lease" else _sdk(where, *more)
    print(_at_once(work))


def _lease(path: str) -> Callable[[int], object]:
    from brokershim.client import Client

    root = Client(path)
    root.call("session.open", program=sys.executable, env={"ANTHROPIC_API_KEY": SECRET})

    def work(number: int) -> object:
        del number
        return root, Client(path).call("lease.acquire", secret=SECRET)

    return work


def _sdk(base: str, tokens: str) -> Callable[[int], object]:
    from anthropic.lib.credentials import WorkloadIdentityCredentials

    values: list[str] = json.loads(Path(tokens).read_text())

    def work(number: int) -> object:
        credentials = WorkloadIdentityCredentials(
            identity_token_provider=lambda: values[number],
            federation_rule_id=SETTINGS["anthropic"]["federation_rule_id"],
            organization_id=SETTINGS["anthropic"]["organization_id"],
        )
        credentials.bind_base_url(base)
        return credentials()

    return work


def _at_once(work: Callable[[int], object]) -> float:
    """Return the seconds from the start of all until the last is done."""
    wait, go = os.pipe()
    children = [_child(work, number, wait, go) for number in range(PROCESSES)]
    os.close(wait)
    begun = time.perf_counter()
    os.close(go)
    failed = [os.waitpid(child, 0)[1] for child in children]
    if any(failed):
        raise RuntimeError(f"{len([each for each in failed if each])} got no key")
    return time.perf_counter() - begun


def _child(work: Callable[[int], object], number: int, wait: int, go: int) -> int:
    child = os.fork()
    if child == 0:
        os.close(go)
        os.read(wait, 1)  # the end of the pipe: everybody's start
        work(number)
        os._exit(0)
    return child


if __name__ == "__main__":
    main()
