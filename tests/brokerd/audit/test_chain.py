"""Each line follows the one before, and what does not is named for what it is."""

from __future__ import annotations

import pytest

from brokerd.audit.chain import Chain, Witness
from brokerd.audit.line import START, AuditHead, seal


def _log(count: int, secret: str = "openai/dev") -> tuple[list[bytes], list[AuditHead]]:
    lines, heads = [], [START]
    for _ in range(count):
        line, head = seal(heads[-1], 0.0, "lease.granted", {"secret": secret})
        lines.append(line[:-1])
        heads.append(head)
    return lines, heads


LINES, HEADS = _log(6)
OTHERS, _ = _log(6, "anthropic/dev")


def _problems(lines: list[bytes], *witnesses: Witness) -> list[str]:
    chain = Chain(*witnesses)
    found = [f"{n} {what}" for n, line in enumerate(lines, 1) for what in chain.take(line)]
    return found + [f"end {what}" for what in chain.end()]


def _swapped(first: int, second: int) -> list[bytes]:
    lines = list(LINES)
    lines[first], lines[second] = lines[second], lines[first]
    return lines


def test_a_log_as_it_was_written_has_no_problem() -> None:
    assert _problems(LINES, Witness("the anchor", HEADS[6])) == []
    assert _problems(LINES, Witness("an older anchor", HEADS[4])) == []
    assert _problems([], Witness("the anchor", START)) == []


def test_a_good_line_counts_and_moves_the_head() -> None:
    chain = Chain()
    chain.take(LINES[0])
    chain.take(b"rubbish")
    assert (chain.events, chain.head) == (1, HEADS[1])


_REWRITTEN = "rewritten: this line, or the one before, is not the one that was written"


@pytest.mark.parametrize(
    ("lines", "problems"),
    [
        (
            [*LINES[:2], LINES[2].replace(b"openai", b"closed"), *LINES[3:]],
            ["3 edited: it does not match its own hash"],
        ),
        ([*LINES[:2], *LINES[4:]], ["3 missing: seq 3 to 4 before this line"]),
        (LINES[1:], ["1 missing: seq 1 to 1 before this line"]),
        (
            _swapped(1, 2),
            ["2 missing: seq 2 to 2 before this line", "3 moved: seq 2 belongs further up"],
        ),
        ([*LINES[:3], LINES[2], *LINES[3:]], ["4 repeated: seq 3"]),
        ([*LINES[:3], OTHERS[3], *LINES[4:]], [f"4 {_REWRITTEN}", f"5 {_REWRITTEN}"]),
        ([*LINES[:3], *OTHERS[3:]], [f"4 {_REWRITTEN}"]),
        ([*LINES[:2], b"", *LINES[2:]], ["3 edited: it does not end as an event does"]),
        ([*LINES[:2], b"x", *LINES[4:]], ["3 edited: it does not end as an event does",
                                          "4 missing: seq 4 to 4 before this line"]),
    ],
)  # fmt: skip
def test_each_kind_of_change_is_named(lines: list[bytes], problems: list[str]) -> None:
    assert _problems(lines) == problems


def test_a_tail_that_was_cut_off_is_seen_by_who_knew_it() -> None:
    missing = "truncated: seq 5 to 6 are missing at the end, says the anchor"
    assert _problems(LINES[:4], Witness("the anchor", HEADS[6])) == [f"end {missing}"]
    assert _problems(LINES[:4]) == []


def test_an_edited_last_line_is_there_all_the_same() -> None:
    edited = [*LINES[:5], LINES[5].replace(b"openai", b"closed")]
    assert _problems(edited, Witness("the anchor", HEADS[6])) == [
        "6 edited: it does not match its own hash"
    ]


def test_a_whole_new_log_is_seen_only_by_who_knew_the_old_one() -> None:
    assert _problems(OTHERS) == []
    assert _problems(OTHERS, Witness("the daemon", HEADS[5])) == [
        "5 rewritten: the daemon knows another line as seq 5"
    ]


def test_a_chain_can_be_taken_up_in_its_middle() -> None:
    chain = Chain(start=HEADS[3])
    assert [chain.take(line) for line in LINES[3:]] == [[], [], []]
    assert Chain(start=HEADS[2]).take(LINES[3]) != []
