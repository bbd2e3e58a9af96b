"""Which session does a process belong to?

By ancestry alone: a session is the process tree under the process that opened it. The label
in the environment is never proof; it only lets a refusal say more.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from brokerd.peer import Peer, Pin
from brokerd.policy import Asker
from brokershim.errors import NoSession, Orphan, PeerGone


@dataclass(frozen=True)
class Launch:
    """What `brokerctl run` started, as far as the daemon could see for itself.

    Attributes:
        program: Path of the program that is executed.
        script: Path of the script that it runs, or None.
        script_sha256: Hash of that script when the session was opened, or None.
        folder: The working folder that the kernel named.
        project: Folder of the trusted broker.toml, or None.
        env: Environment variable -> secret name.
    """

    program: str
    script: str | None
    script_sha256: str | None
    folder: str
    project: str | None
    env: Mapping[str, str]


@dataclass(eq=False)
class Session:
    """A process tree that may lease some secrets; it dies with its root.

    Attributes:
        id: Its label; worth nothing outside the tree.
        root: The process that opened it.
        launch: What that process went on to run.
        opened_at: UTC, RFC 3339.
        connection: The number of the connection that opened it.
        number: Its place in the order of the table, for paging.
        approved: Secrets that a person approved for it.
        barred: Secrets whose lease was revoked by hand.
    """

    id: str
    root: Pin
    launch: Launch
    opened_at: str
    connection: int
    number: int = 0
    approved: set[str] = field(default_factory=set[str])
    barred: set[str] = field(default_factory=set[str])

    @cached_property
    def asker(self) -> Asker:
        """What the policy looks at."""
        return Asker(self.launch.folder, self.launch.project)

    @cached_property
    def secrets(self) -> frozenset[str]:
        """The secrets that it was opened for, and no others."""
        return frozenset(self.launch.env.values())


class SessionTable:
    """All live sessions."""

    def __init__(self) -> None:
        self._by_root: dict[int, Session] = {}
        self._by_id: dict[str, Session] = {}
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        """Return how many sessions are live."""
        return len(self._by_id)

    def __iter__(self) -> Iterator[Session]:
        """Iterate over a copy, oldest first."""
        return iter(list(self._by_id.values()))

    def add(self, peer: Peer, launch: Launch, opened_at: str, connection: int) -> Session:
        """Open a session with the calling process as its root."""
        session = Session(secrets.token_hex(4), peer.pin.copy(), launch, opened_at, connection)
        session.number = next(self._numbers)
        self._by_root[session.root.pid] = session
        self._by_id[session.id] = session
        return session

    def remove(self, session: Session) -> bool:
        """Forget a session; return whether it was live."""
        if self._by_id.pop(session.id, None) is None:
            return False
        if self._by_root.get(session.root.pid) is session:
            del self._by_root[session.root.pid]
        session.root.close()
        return True

    def get(self, session_id: str) -> Session | None:
        """Return a live session."""
        return self._by_id.get(session_id)

    def opened_on(self, connection: int) -> bool:
        """Return whether a live session was opened on the connection of that number."""
        return any(each.connection == connection for each in self._by_id.values())

    def rooted_at(self, pid: int) -> Session | None:
        """Return the session whose root is that process."""
        return self._by_root.get(pid)

    def after(self, number: int) -> Iterator[Session]:
        """Iterate in order over the sessions with a greater number."""
        return (each for each in self._by_id.values() if each.number > number)

    def find(self, peer: Peer) -> Session | None:
        """Return the innermost session that a process is inside, if any.

        The root is pinned and looked at last: while it lives, its number is its own, so a
        chain that ends in that number ends in that process.
        """
        if not self._by_root:
            return None
        for pid in peer.ancestors():
            session = self._by_root.get(pid)
            if session is not None and session.root.alive() and peer.alive():
                return session
        return None

    def require(self, peer: Peer, label: str | None) -> Session:
        """Return the session that a process is inside.

        Args:
            peer: The calling process.
            label: The session that it says it is in; worth nothing but a better message.

        Raises:
            PeerGone: The process has ended.
            Orphan: It names a live session, but its ancestry does not reach its root.
            NoSession: It is in none.
        """
        session = self.find(peer)
        if session is not None:
            return session
        if not peer.alive():
            raise PeerGone(f"process {peer.pid} has ended")
        if label is not None and label in self._by_id:
            raise Orphan(
                f"process {peer.pid} is outside session {label}: its ancestry does not reach "
                f"process {self._by_id[label].root.pid}, so a parent in between has ended, or "
                "it was started elsewhere"
            )
        if label is not None:
            raise NoSession(
                f"session {label[:64]!r} has ended, or the daemon was restarted since",
                hint="start the program again with `brokerctl run`",
            )
        raise NoSession(f"process {peer.pid} is in no session")

    def confirm(self, peer: Peer, session: Session) -> None:
        """Check again, before a key is released, what `require` found.

        Raises:
            PeerGone: The process or the session has ended, or it has left the session.
        """
        if self.find(peer) is not session:
            raise PeerGone(f"process {peer.pid} left session {session.id} while it was served")
