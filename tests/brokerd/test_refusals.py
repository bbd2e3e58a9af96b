from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from brokerd.audit import GroupCommit
from brokerd.refusals import Refusals
from brokershim.errors import AuditUnavailable, NotGranted


class _Audit:
    """Stands in for the audit: keeps what is recorded, or cannot."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.failure: AuditUnavailable | None = None

    async def record(self, event: str, **fields: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.events.append({"event": event, **fields})


class _Scene:
    def __init__(self) -> None:
        self.now = 0.0
        self.audit = _Audit()
        self.refusals = Refusals(cast(GroupCommit, self.audit), lambda: self.now)

    def refuse(self, times: int = 1) -> None:
        for _ in range(times):
            asyncio.run(self.refusals.record(NotGranted("no"), secret="a", pid=7))


def test_a_refusal_is_written_down_with_its_kind_and_facts() -> None:
    scene = _Scene()
    scene.refuse()
    assert scene.audit.events == [
        {
            "event": "request.refused",
            "kind": "denied.not_granted",
            "left_out": 0,
            "secret": "a",
            "pid": 7,
        }
    ]


def test_a_flood_is_counted_and_not_written() -> None:
    scene = _Scene()
    scene.refuse(1000)
    assert len(scene.audit.events) == 50
    scene.now += 0.19  # a fifth of a second for each
    scene.refuse()
    assert len(scene.audit.events) == 50
    scene.now += 0.02
    scene.refuse()
    assert len(scene.audit.events) == 51
    assert scene.audit.events[-1]["left_out"] == 951
    scene.now += 0.2
    scene.refuse()
    assert scene.audit.events[-1]["left_out"] == 0


def test_after_a_pause_there_is_room_for_a_burst_and_no_more() -> None:
    scene = _Scene()
    scene.refuse(50)
    scene.now += 1_000_000
    scene.refuse(60)
    assert len(scene.audit.events) == 100


def test_a_refusal_stands_though_it_cannot_be_written(caplog: pytest.LogCaptureFixture) -> None:
    scene = _Scene()
    scene.audit.failure = AuditUnavailable("the disk is full")
    scene.refuse()
    assert "a refusal is not in the audit: the disk is full" in caplog.text
