"""Is it another user of this machine who came to a login's port?

Whoever sees a login's address can finish it in their own name, and browsers are given addresses
on their command line, which every user can read. Linux says whose each socket is (proc(5),
/proc/net/tcp); macOS has no such file, and there nobody is turned away.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_LOOPBACK = f"{int.from_bytes(bytes((127, 0, 0, 1)), sys.byteorder):08X}"
_ESTABLISHED = "01"


def is_foreign(theirs: int, ours: int) -> bool:
    """Return whether a connection over 127.0.0.1 is of a user who is neither this one nor root.

    Also where it is nobody's any more: who hangs up at once is not to pass for root.

    Args:
        theirs: The port of its other end.
        ours: The port of this one.
    """
    tables = [each for each in _TABLES if os.path.exists(each)]
    if not tables:
        return False
    ends = f"{_LOOPBACK}:{theirs:04X}", f"{_LOOPBACK}:{ours:04X}"
    users = {user for table in tables for user in _users(table, ends)}
    return not users or not users <= {0, os.geteuid()}


def _users(table: str, ends: tuple[str, str]) -> Iterator[int]:
    with open(table) as file:
        for line in file:
            _, local, remote, state, _, _, _, user, *_ = line.split()
            if (local[-13:], remote[-13:], state) == (*ends, _ESTABLISHED):
                yield int(user)
