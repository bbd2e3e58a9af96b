"""A daemon with one more backend, that makes a credential of its own for each lease.

Run as a script with a folder: there each credential is a file, while it is good. As long as the
folder holds a file ``down``, the backend cannot end any.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Hashable
from pathlib import Path

from brokerd.daemon import Daemon
from brokerd.harden import harden
from brokerd.listener import Listener
from brokerd.model import BoundedBy, Credential, Secret, Whom
from brokershim.errors import BackendUnavailable
from brokershim.paths import runtime_dir

NAME = "minted/key"


class Mint:
    """Makes credentials."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def revision(self) -> int:
        return 0

    def key_of(self, name: str) -> str:
        return name

    def describe(self, name: str) -> Secret:
        return Secret(name, "", ("api.example.com",), "mint", 900.0, "1", BoundedBy.BACKEND)

    def fetch(self, name: str) -> Credential:
        del name
        number = os.urandom(8).hex()
        (self._folder / f"good-{number}").touch()
        return Credential(b"sk-minted-" + number.encode(), "1", BoundedBy.BACKEND, upstream=number)

    def generation(self) -> Hashable:
        return 0

    def makes(self, name: str) -> bool:
        del name
        return True

    def prepare(self, name: str) -> None:
        """Nothing ends all that it makes."""
        del name

    def make(self, name: str, risk: str | None, whom: Whom) -> Credential:
        del risk, whom
        return self.fetch(name)

    def renew(self, upstream: str, seconds: float) -> float:
        del upstream, seconds
        raise BackendUnavailable("the mint renews nothing")

    def revoke(self, upstream: str) -> None:
        if (self._folder / "down").exists():
            raise BackendUnavailable("the mint is closed")
        (self._folder / f"good-{upstream}").unlink(missing_ok=True)


async def _serve(folder: Path, ready: Callable[[], None]) -> None:
    listener = Listener(os.path.join(runtime_dir(), "broker.sock"))
    await Daemon(listener, harden(), {"mint": Mint(folder)}, lambda _: "mint").run(ready)


def main() -> None:
    folder, _, fd = sys.argv[1:]

    def ready() -> None:
        with os.fdopen(int(fd), "w") as file:
            file.write("ready\n")

    asyncio.run(_serve(Path(folder), ready))


if __name__ == "__main__":
    main()
