"""A daemon whose backend mints a credential for each lease; it halts for good at a named step.

Run as ``python -I minting_daemon.py FOLDERS BACKEND STEP``: the folders to import from, the file
where the backend keeps what it minted, and one of `STEPS`, or ``none``. It says ``ready`` and
``at STEP`` on its standard output.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Hashable
from typing import Any

STEPS = (
    "prepared",
    "about to mint",
    "before minting",
    "minted",
    "fetched",
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
KEY = "sk-minted-"


def main() -> None:
    folders, path, halt_at = sys.argv[1:]
    sys.path[:0] = json.loads(folders)
    from brokerd.daemon import Daemon
    from brokerd.harden import harden
    from brokerd.listener import Listener
    from brokershim.paths import runtime_dir

    def step(name: str) -> None:
        if name == halt_at:
            say(f"at {name}")
            threading.Event().wait()

    async def serve() -> None:
        listener = Listener(os.path.join(runtime_dir(), "broker.sock"))
        backends: dict[str, Any] = {"minting": minting_backend(path, step)}
        daemon = Daemon(listener, harden(), backends, lambda _: "minting")
        halting(daemon, step)
        await daemon.run(lambda: say("ready"))

    asyncio.run(serve())


def say(line: str) -> None:
    print(line, flush=True)


class Constant:
    """What never changes of a backend that makes every key for one lease."""

    def revision(self) -> Hashable:
        return 0

    def generation(self) -> Hashable:
        return 0

    def key_of(self, name: str) -> Hashable:
        return name

    def makes(self, name: str) -> bool:
        del name
        return True


def minting_backend(path: str, step: Callable[[str], None]) -> Any:
    from brokerd.model import BoundedBy, Credential, Secret
    from brokershim import clock

    login = f"login-{os.urandom(8).hex()}"

    class Minting(Constant):
        """Mints, and keeps what is open in a file, as a real one would at its own place.

        A login ends with all that was minted under it.
        """

        def describe(self, name: str) -> Secret:
            return Secret(name, "", ("host",), "minting", 900.0, "1", BoundedBy.BACKEND)

        def prepare(self, name: str) -> str:
            del name
            return login

        def make(self, name: str, risk: str | None, whom: Any) -> Credential:
            del risk, whom  # there is only this one login
            return self.fetch(name)

        def renew(self, upstream: str, seconds: float) -> float:
            del upstream
            step("renewed")
            return clock.now() + seconds

        def fetch(self, name: str) -> Credential:
            step("before minting")
            upstream = f"{name}-{os.urandom(8).hex()}"
            note("minted", f"{upstream} {login}")
            step("minted")
            key = f"{KEY}{upstream}".encode()
            return Credential(key, upstream, BoundedBy.BACKEND, None, upstream)

        def revoke(self, upstream: str) -> None:
            step("before revoking")
            note("revoked", upstream)
            step("revoked")

    def note(what: str, upstream: str) -> None:
        with open(path, "a") as file:
            file.write(f"{what} {upstream}\n")

    return Minting()


def halting(daemon: Any, step: Callable[[str], None]) -> None:
    """Put the steps that are not the backend's own around what the daemon does."""
    around(daemon._parts.upstream, "about_to", step, before="prepared", after="about to mint")
    around(daemon._parts.upstream, "made", step, before="fetched", after="in the journal")
    around(daemon._made.journal, "closed", step, after="out of the journal")
    around(daemon._parts.endings, "end", step, after="ended", only=bool)
    after_event(
        daemon._parts.audit, step, {"lease.acquired": "in the audit", "upstream.revoked": "noted"}
    )
    from brokerd.connection import Connection

    real = Connection._send

    def send(self: Connection, line: bytes) -> None:
        real(self, line)
        if KEY.encode() in line:
            step("replied")

    Connection._send = send  # type: ignore[method-assign]


def around(
    thing: Any,
    name: str,
    step: Callable[[str], None],
    *,
    before: str = "",
    after: str = "",
    only: Callable[[Any], bool] = lambda _: True,
) -> None:
    """Call the steps before and after a method, the latter where its result says so."""
    real = getattr(thing, name)

    def call(*args: Any) -> Any:
        step(before)
        result = real(*args)
        if only(result):
            step(after)
        return result

    setattr(thing, name, call)


def after_event(audit: Any, step: Callable[[str], None], steps: dict[str, str]) -> None:
    """Call a step once an event is on record."""
    real = audit.record

    async def record(event: str, **fields: Any) -> Any:
        head = await real(event, **fields)
        step(steps.get(event, ""))
        return head

    audit.record = record


if __name__ == "__main__":
    main()
