"""Is this a secret's name, and not a key that was put in its place? (Pure.)

Names stand in messages, in the audit and in logs. A key that happens to be spelt as a name
may be must not get there.
"""

from __future__ import annotations

import re

from brokerd.providers import looks_like_key
from brokershim import reference
from brokershim.errors import UsageError

_HEX = re.compile("[0-9a-f]{32}")  # Azure's keys have no other mark


def check_name(name: str) -> str:
    """Return the name unchanged where it is one, as `brokershim.reference.check_name` does.

    Raises:
        UsageError: It is not well formed, or looks like a key. The message does not repeat it.
    """
    if looks_like_key(name) or _HEX.search(name):
        raise UsageError(
            "what looks like a key stands where a secret's name belongs",
            hint="store it with `brokerctl secret set NAME`, and write that name here",
        )
    return reference.check_name(name)
