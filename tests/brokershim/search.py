"""For the apps that search themselves: everything shown is kept, then the key is looked for.

What the key is comes from stdin, backwards, and not before all is done: it must not be in the
app by any way but the shim's. Nothing is imported that an app's own environment would not have.
"""

from __future__ import annotations

import gc
import json
import logging
import sys
from typing import Any

from tests.support.heap import holders_of

_PLANTED = "planted to be found:"


class Kept(logging.Handler):
    """Everything that the app was shown: log records, answers, exceptions."""

    def __init__(self) -> None:
        super().__init__(0)
        self.things: list[Any] = []
        gc.disable()  # what only a cycle keeps alive can still be reached
        logging.basicConfig(level=0, handlers=[self])

    def emit(self, record: logging.LogRecord) -> None:
        # Not the arguments: LiteLLM logs streams that it has left open.
        self.things.append((record.getMessage(), record.exc_info))

    def report(self, **more: Any) -> None:
        """Print where the key is, apart from the shim's own memory, and whether one is found."""
        from brokershim.holder import of_process

        sys.stdout.write("\nready\n")
        sys.stdout.flush()
        of_process().close()
        needle = sys.stdin.readline().strip()[::-1]
        planted = [f"{_PLANTED} {needle}"]
        holders = holders_of(needle)  # once for both: with LiteLLM there are a million objects
        found = [line for line in holders if _PLANTED not in line]
        print(json.dumps({"found": found, "control": len(holders) - len(found), **more}))
        del planted
