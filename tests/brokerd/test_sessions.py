from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

import pytest

from brokerd.peer import Peer
from brokerd.sessions import Launch, Session, SessionTable
from brokershim.errors import NoSession, Orphan, PeerGone


@dataclass
class _Pin:
    """Stands in for a pin."""

    pid: int
    lives: bool = True
    fd: int = 9

    def alive(self) -> bool:
        return self.lives

    def copy(self) -> _Pin:
        return self

    def close(self) -> None:
        self.lives = False


@dataclass
class _Peer:
    """Stands in for a process with the ancestors that it is given."""

    pid: int
    above: list[int] = field(default_factory=list)
    lives: bool = True

    def __post_init__(self) -> None:
        self.pin = _Pin(self.pid)

    def alive(self) -> bool:
        return self.lives

    def ancestors(self) -> Iterator[int]:
        yield from [self.pid, *self.above]


def _peer(pid: int, *above: int, lives: bool = True) -> Peer:
    return cast(Peer, _Peer(pid, list(above), lives))


def _launch(*secrets: str) -> Launch:
    return Launch("/bin/true", None, None, "/", None, {f"V{n}": s for n, s in enumerate(secrets)})


def _open(table: SessionTable, pid: int, connection: int = 1) -> Session:
    return table.add(_peer(pid), _launch("a"), "2026-11-23T06:47:00+00:00", connection)


def test_the_nearest_root_above_counts() -> None:
    table = SessionTable()
    outer, inner = _open(table, 10), _open(table, 20)
    assert table.find(_peer(30, 20, 10, 1)) is inner
    assert table.find(_peer(30, 10, 1)) is outer
    assert table.find(_peer(10, 1)) is outer
    assert table.find(_peer(30, 1)) is None


def test_a_dead_root_is_no_root_whoever_has_its_number_now() -> None:
    table = SessionTable()
    session = _open(table, 10)
    cast(_Pin, session.root).lives = False
    assert table.find(_peer(30, 10, 1)) is None
    with pytest.raises(NoSession):
        table.require(_peer(30, 10, 1), None)


def test_a_live_root_above_a_dead_one_still_counts() -> None:
    table = SessionTable()
    outer, inner = _open(table, 10), _open(table, 20)
    cast(_Pin, inner.root).lives = False
    assert table.find(_peer(30, 20, 10, 1)) is outer


def test_a_dead_caller_is_in_no_session() -> None:
    """Its number, and so its ancestry, may be another process's by now."""
    table = SessionTable()
    session = _open(table, 10)
    gone = _peer(30, 10, 1, lives=False)
    assert table.find(gone) is None
    with pytest.raises(PeerGone, match="30"):
        table.require(gone, session.id)


def test_the_label_only_makes_the_refusal_say_more() -> None:
    table = SessionTable()
    session = _open(table, 10)
    stranger = _peer(30, 1)
    with pytest.raises(Orphan, match=f"session {session.id}: .* process 10"):
        table.require(stranger, session.id)
    with pytest.raises(NoSession, match="'ended' has ended"):
        table.require(stranger, "ended")
    with pytest.raises(NoSession, match="process 30 is in no session"):
        table.require(stranger, None)
    assert table.require(_peer(30, 10), "wrong") is session


def test_a_long_label_is_not_repeated_whole() -> None:
    with pytest.raises(NoSession) as refused:
        SessionTable().require(_peer(30), "x" * 60_000)
    assert len(refused.value.message) < 200


def test_confirm_sees_that_the_caller_has_left() -> None:
    table = SessionTable()
    session, other = _open(table, 10), _open(table, 20)
    table.confirm(_peer(30, 10), session)
    for left in (_peer(30, 1), _peer(30, 10, lives=False), _peer(30, 20, 10)):
        with pytest.raises(PeerGone, match="30"):
            table.confirm(left, session)
    table.remove(session)
    with pytest.raises(PeerGone):
        table.confirm(_peer(30, 10), session)
    table.confirm(_peer(30, 20), other)


def test_a_removed_session_is_forgotten_and_its_root_let_go_of() -> None:
    table = SessionTable()
    session = _open(table, 10, connection=7)
    assert (table.get(session.id), table.rooted_at(10)) == (session, session)
    assert table.opened_on(7)
    assert table.remove(session)
    assert not table.remove(session)
    assert (table.get(session.id), table.rooted_at(10)) == (None, None)
    assert not table.opened_on(7)
    assert not cast(_Pin, session.root).lives
    assert len(table) == 0


def test_the_removal_of_an_older_session_leaves_the_newer_of_that_root() -> None:
    table = SessionTable()
    older = _open(table, 10)
    newer = _open(table, 10)
    table.remove(older)
    assert table.rooted_at(10) is newer


def test_labels_differ_and_come_in_order() -> None:
    table = SessionTable()
    opened = [_open(table, pid) for pid in range(10, 60)]
    assert len({each.id for each in opened}) == 50
    assert list(table) == opened
    assert [each.number for each in table.after(opened[9].number)] == list(range(11, 51))


def test_a_session_knows_its_secrets_and_what_the_policy_sees() -> None:
    launch = Launch("/p", None, None, "/folder", "/project", {"A": "x", "B": "x", "C": "y"})
    session = SessionTable().add(_peer(1), launch, "", 1)
    assert session.secrets == {"x", "y"}
    assert (session.asker.folder, session.asker.project) == ("/folder", "/project")


def test_a_pin_of_its_own_outlives_the_connection() -> None:
    """The peer's is closed with the connection; brokerctl run closes that as it executes."""
    copied: list[bool] = []

    class Copied(_Pin):
        def copy(self) -> _Pin:
            copied.append(True)
            return self

    peer = _Peer(10)
    peer.pin = Copied(10)
    SessionTable().add(cast(Peer, peer), _launch("a"), "", 1)
    assert copied == [True]
