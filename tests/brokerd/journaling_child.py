"""A process that leases and revokes step by step, to be killed at one of them."""

from __future__ import annotations

import sys

from brokerd import journal
from tests.support.steps import around, halfway, step


def main() -> None:
    """Open one lease before the step that was asked for, and one during it."""
    log = journal.Journal(sys.argv[2])
    log.opened("before", "vault", "upstream/before")
    halfway("half of opened written", b'"during"')
    around("brokerd.linefile.sync_data", "opened written", "opened synced")
    log.opened("during", "vault", "risk/during")
    halfway("half of amended written", b"upstream/during")
    around("brokerd.linefile.sync_data", "amended written", "amended synced")
    log.amended("during", "upstream/during")
    step("key given out")
    halfway("half of closed written", b'"closed"')
    step("revoked upstream")
    log.closed("during")
    step("closed")
    around("os.rename", "compaction written", "compaction renamed")
    journal._COMPACT_LINES = 1
    log.opened("later", "vault", "upstream/later")
    step("compacted")


main()
