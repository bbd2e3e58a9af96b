"""Does each line follow the one before? (Pure, and in constant memory.)"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from brokerd.audit.line import START, AuditHead, unseal


class Witness(NamedTuple):
    """Who else knows where the log stood, and where that was."""

    name: str
    head: AuditHead


class Chain:
    """Takes a log's lines in order and says what is wrong with each.

    Args:
        witnesses: Who else knows where the log stood; it may stand further on by now.
        start: Where it stands before the first line.

    Attributes:
        head: The last line that is where it belongs.
        events: How many lines were.
    """

    def __init__(self, *witnesses: Witness, start: AuditHead = START) -> None:
        self._witnesses = witnesses
        self._gaps: list[range] = []
        self._unreadable = 0
        self.head = start
        self.events = 0

    def take(self, line: bytes) -> list[str]:
        """Return what is wrong with the next line, given without its line feed."""
        try:
            event = unseal(line)
        except ValueError as error:
            self._unreadable += 1
            return [f"edited: {error}"]
        seq = int(event["seq"])
        if seq <= self.head.seq:
            moved = any(seq in gap for gap in self._gaps)
            return [f"moved: seq {seq} belongs further up" if moved else f"repeated: seq {seq}"]
        problems = [*self._missing(seq), *self._unlinked(event), *self._contradicted(event)]
        self.head, self._unreadable = AuditHead(seq, str(event["hash"])), 0
        self.events += 1
        return problems

    def end(self) -> list[str]:
        """Return what is wrong with where the log ends."""
        last = self.head.seq + self._unreadable
        return [
            f"truncated: seq {last + 1} to {head.seq} are missing at the end, says {name}"
            for name, head in self._witnesses
            if head.seq > last
        ]

    def _missing(self, seq: int) -> Iterator[str]:
        expected = self.head.seq + 1 + self._unreadable
        if seq > expected:
            self._gaps.append(range(expected, seq))
            yield f"missing: seq {expected} to {seq - 1} before this line"

    def _unlinked(self, event: dict[str, Any]) -> Iterator[str]:
        if event["seq"] == self.head.seq + 1 and event["prev"] != self.head.hash:
            yield "rewritten: this line, or the one before, is not the one that was written"

    def _contradicted(self, event: dict[str, Any]) -> Iterator[str]:
        for name, head in self._witnesses:
            if event["seq"] == head.seq and event["hash"] != head.hash:
                yield f"rewritten: {name} knows another line as seq {head.seq}"
