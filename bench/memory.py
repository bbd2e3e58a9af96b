"""How much memory does the daemon hold, idle and with many leases?"""

from __future__ import annotations

import os
import sys

import psutil

from bench.figures import Figure
from bench.home import SECRET
from brokershim.client import Client
from demo.home import Home

LEASES = 10_000
_MB = 1_000_000


def measure(home: Home) -> list[Figure]:
    """Look before and after ten thousand leases are taken over one connection."""
    client = Client(os.path.join(home.root, "run", "brokerctl", "broker.sock"))
    try:
        pid = client.call("daemon.status")["pid"]
        idle, idle_note = resident(pid)
        client.call("session.open", program=sys.executable, env={"OPENAI_API_KEY": SECRET})
        for _ in range(LEASES):
            client.call("lease.acquire", secret=SECRET)
        busy, busy_note = resident(pid)
    finally:
        client.close()
    each = f"{busy_note}, {(busy - idle) * _MB / LEASES:.0f} bytes a lease"
    return [
        Figure("daemon's memory, idle", idle, "MB", 40.0, idle_note),
        Figure(f"daemon's memory, {LEASES:,} leases", busy, "MB", None, each),
    ]


def resident(pid: int) -> tuple[float, str]:
    """Return a process's resident memory in MB, and its proportional one as a note.

    The daemon is not dumpable: only root may see how much of it is shared. macOS does not tell.
    """
    process = psutil.Process(pid)
    try:
        shared_out = getattr(process.memory_full_info(), "pss")  # noqa: B009  (Linux only)
        pss = f"{shared_out / _MB:.1f} MB in proportion to who shares it"
    except (psutil.AccessDenied, AttributeError):
        pss = "resident"
    return process.memory_info().rss / _MB, pss
