"""The daemon, with the identities and the backend of `tests.support.identities` besides its own.

Run as ``python -I identity_daemon.py --ready-fd N``. `CONFIG` is what its config.toml may hold. The
programs of its desktop are in `DESKTOP` below its home; where that is, it looks at the logins all
the time, and not once a minute.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[2]
KIND = "test"
DESKTOP = "desktop"
CONFIG = """
[store]
master_key = "passphrase"

[identity.work]
kind = "test"
folder = {folder}

[identity.machine]
kind = "test"

[backend.tokens]
kind = "test"
identity = "work"

[secret."made/key"]
backend = "tokens"
"""


def main() -> None:
    sys.path.insert(0, str(_REPOSITORY))
    from brokerd import __main__ as program
    from brokerd import dues, kinds, notice

    desktop = Path.home() / DESKTOP
    notice._FOLDERS = str(desktop)  # whatever the machine has, a test shows nothing to anybody
    if desktop.exists():
        dues.LOOK_SECONDS = 0.0
    kinds.IDENTITIES[KIND] = kinds.BACKENDS[KIND] = "tests.support.identities"
    status = program.main()
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
