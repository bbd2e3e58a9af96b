"""A process that writes an audit log step by step, to be killed at one of them."""

from __future__ import annotations

import sys

from brokerd.audit import AuditLog
from tests.support.steps import around, halfway

FIRST_START = ("anchor made", "first file made")


def main() -> None:
    """Begin a log; write an event; write another, in a new file where that is the step."""
    wanted, folder = sys.argv[1:]
    if wanted in FIRST_START:
        around("os.pwrite", "anchor made", "anchor written")
        around("brokerd.linefile.sync_folder", "first file there", "first file made")
    log = AuditLog(folder, max_bytes=10 if wanted == "next file made" else 10_000)
    log.append("before")
    log.sync()
    halfway("half a line written", b'"during"')
    around("brokerd.linefile.sync_folder", "next file there", "next file made")
    around("brokerd.linefile.sync_data", "written", "synced")
    around("os.pwrite", "not anchored", "anchored")
    log.append("during")
    log.sync()


main()
