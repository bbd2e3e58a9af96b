"""The real daemon, which halts for good at a named step of a lease that a Vault makes.

Run as ``python -I vault_daemon.py FOLDERS STEP``: the folders to import from, and one of `STEPS`;
or ``none``; or ``hurry``, with which it waits for a server and between two tries no longer than a
test can. It says ``ready`` and ``at STEP`` on its standard output.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

STEPS = (
    "before preparing",
    "prepared",
    "about to make",
    "before making",
    "made",
    "answered",
    "in the journal",
    "in the audit",
    "replied",
    "renewed",
    "ended",
    "before revoking",
    "revoked",
    "out of the journal",
    "noted",
)


def main() -> None:
    folders, halt_at = sys.argv[1:]
    sys.path[:0] = json.loads(folders)
    from brokerd.daemon import Daemon
    from brokerd.harden import harden
    from brokerd.listener import Listener
    from brokershim.paths import runtime_dir
    from tests.support.minting_daemon import say

    def step(name: str) -> None:
        if name == halt_at:
            say(f"at {name}")
            threading.Event().wait()

    async def serve() -> None:
        daemon = Daemon(Listener(os.path.join(runtime_dir(), "broker.sock")), harden())
        halting(daemon, step)
        if halt_at == "hurry":
            hurry()
        await daemon.run(lambda: say("ready"))

    asyncio.run(serve())


def halting(daemon: Any, step: Callable[[str], None]) -> None:
    """Put the steps around what the daemon and its backend do."""
    from brokerd.roundtrip import RoundTrip
    from tests.support.minting_daemon import after_event, around

    parts, backend = daemon._parts, daemon._parts.backends["corp"]
    around(backend, "prepare", step, before="before preparing")
    around(parts.upstream, "about_to", step, before="prepared", after="about to make")
    around(parts.upstream, "made", step, before="answered", after="in the journal")
    around(backend, "renew", step, after="renewed")
    around(parts.endings, "end", step, after="ended", only=bool)
    around(backend, "revoke", step, before="before revoking", after="revoked")
    around(daemon._made.journal, "closed", step, after="out of the journal")
    events = {"lease.acquired": "in the audit", "upstream.revoked": "noted"}
    after_event(parts.audit, step, events)
    read, send = RoundTrip._read, RoundTrip._send

    def sent(self: Any, connection: Any) -> None:
        step("before making" if _makes(self) else "")
        send(self, connection)

    def answered(self: Any, response: Any) -> Any:
        step("made" if _makes(self) else "")
        return read(self, response)

    RoundTrip._send, RoundTrip._read = sent, answered  # type: ignore[method-assign]
    _after_replies(step)


def hurry() -> None:
    """Have little patience with a server, and no pause."""
    from brokerd import breaker, roundtrip, upstream

    transport: Any = importlib.import_module("brokerd.backends.vault.transport")
    roundtrip.TOTAL_SECONDS = transport.TOTAL_SECONDS = 1.0
    breaker._TOLERATED = 1000
    upstream._FIRST_RETRY_SECONDS = upstream._LAST_RETRY_SECONDS = 0.1


def _makes(trip: Any) -> bool:
    """Return whether a request has an engine make a key."""
    return any(word in trip._line[1] for word in ("/issue/", "/creds/"))


def _after_replies(step: Callable[[str], None]) -> None:
    """Name the step at which a reply with a key is on its way."""
    from brokerd.connection import Connection

    real = Connection._send

    def send(self: Connection, line: bytes) -> None:
        real(self, line)
        step("replied" if b'"value"' in line else "")

    Connection._send = send  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
