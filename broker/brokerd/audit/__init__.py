"""What happened, so that nobody can change the story later without being found out?

One event a line, each line sealed to the one before by its SHA-256. Written and synced before
a key leaves the daemon: no event, no key.

What the chain shows, having no key of its own: any line edited, removed, moved or repeated by
someone who did not also rewrite all lines after it and the anchor. What it does not show:
someone of the same user who rewrites all of that. Only a head known elsewhere finds that out:
the running daemon's (`brokerctl audit verify` asks for it), or one that was noted down.

Events name secrets, processes, paths and reasons. They never hold a key.
"""

from brokerd.audit.group import GroupCommit
from brokerd.audit.line import AuditHead
from brokerd.audit.log import AuditLog

__all__ = ["AuditHead", "AuditLog", "GroupCommit"]
