from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerd import duration
from brokershim.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("1h", 3600), (" 5m ", 300), ("24h", 86400)],
)
def test_it_reads_what_people_write(text: str, seconds: int) -> None:
    assert duration.seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "0", "0s", "-1", "1.5h", "1d", "25h", "1441m", "86401", "1h30m", "m", "1 h", "٣m", "1e3",
     "1000000s", "inf", "True", "15M", "15m\n5"],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a duration") as refused:
        duration.seconds(text)
    assert "15m" in refused.value.hint


@given(st.text(max_size=12))
def test_no_text_gives_more_than_a_day_or_another_error(text: str) -> None:
    try:
        found = duration.seconds(text)
    except UsageError:
        return
    assert 0 < found <= duration.LONGEST
