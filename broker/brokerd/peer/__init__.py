"""Which process is at the other end of the socket, as the kernel names it?

`Peer` is this platform's: `_linux` or `_darwin`. Both give the same names.
"""

from __future__ import annotations

import sys

from brokerd.peer.pin import Pin

if sys.platform == "darwin":
    from brokerd.peer._darwin import PINNED_BY, Peer, prepare
else:
    from brokerd.peer._linux import PINNED_BY, Peer, prepare

__all__ = ["PINNED_BY", "Peer", "Pin", "prepare"]
