"""Where does the audit log end by the daemon's memory, and how is a problem of it told?"""

from __future__ import annotations

from brokerctl.replies import field
from brokerd.audit.line import AuditHead
from brokerd.audit.verify import Problem
from brokershim.client import Client


def daemons_head(client: Client | None) -> AuditHead | None:
    """Return where the log ends by the memory of the daemon that writes it, if one runs.

    To be asked for before the log is read: the log may go on meanwhile, and never back.
    """
    if client is None:
        return None
    reply = client.call("audit.head")
    return AuditHead(field(reply, "seq", int), field(reply, "hash", str))


def describe(problem: Problem) -> str:
    """Return one line that says where the problem is, and what."""
    line = f" line {problem.line}" if problem.line else ""
    return f"{problem.file or 'the folder'}{line}: {problem.what}"
