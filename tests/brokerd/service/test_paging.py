from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerd.service.paging import number_of, page
from brokershim import wire
from brokershim.errors import InvalidParams


def _all_pages(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Turn the pages as a client does, and look at each."""
    found: list[dict[str, Any]] = []
    after: str | None = None
    for _ in range(len(rows) + 1):
        begin = number_of(after)
        entries = list(enumerate(rows, 1))[begin:]
        reply = page("rows", entries, lambda entry: entry[1], lambda entry: str(entry[0]))
        assert len(wire.encode_result("x" * 64, reply)) <= wire.MAX_LINE
        found += reply["rows"]
        after = reply["next"]
        if after is None:
            return found
    raise AssertionError("the pages have no end")


@given(st.lists(st.integers(0, 30_000), max_size=20))
def test_the_pages_hold_every_row_once_and_each_fits_a_line(sizes: list[int]) -> None:
    rows = [{"text": "x" * size} for size in sizes]
    assert _all_pages(rows) == rows


def test_ten_thousand_rows_come_in_order() -> None:
    rows = [{"number": n} for n in range(10_000)]
    assert _all_pages(rows) == rows


def test_no_rows_are_one_empty_page() -> None:
    assert _all_pages([]) == []


def test_a_page_begins_at_the_start_or_where_another_ended() -> None:
    assert number_of(None) == 0
    assert number_of("17") == 17


@pytest.mark.parametrize("after", ["", "-1", "1.5", "x", " 1", "1 ", "٣", "²", "9" * 19, "0x1"])
def test_a_place_that_no_page_named_is_refused(after: str) -> None:
    with pytest.raises(InvalidParams, match="next of an earlier page"):
        number_of(after)
