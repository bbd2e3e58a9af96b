"""The daemon, with the identities and the backend of `tests.support.identities` besides its own.

Run as ``python -I identity_daemon.py --ready-fd N``. `CONFIG` is what its config.toml may hold.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[2]
KIND = "test"
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
    from brokerd import kinds

    kinds.IDENTITIES[KIND] = kinds.BACKENDS[KIND] = "tests.support.identities"
    status = program.main()
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
