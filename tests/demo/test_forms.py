"""Is a key recognised in every form in which something may write it down?"""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.forms import Needles

KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=24, max_size=80)
CONTEXT = st.binary(max_size=40)


@given(KEYS, CONTEXT, CONTEXT)
def test_in_clear_between_any_neighbours(key: str, before: bytes, after: bytes) -> None:
    assert Needles([key]).find(before + key.encode() + after) == "in clear"


@given(KEYS, CONTEXT, CONTEXT)
def test_inside_base64_wherever_it_begins(key: str, before: bytes, after: bytes) -> None:
    text = before + key.encode() + after
    assert Needles([key]).find(base64.b64encode(text)) is not None
    assert Needles([key]).find(base64.urlsafe_b64encode(text)) is not None


@given(KEYS)
def test_percent_encoded_in_part_or_whole(key: str) -> None:
    needles = Needles([key])
    assert needles.find(b"x=" + quote(key, safe="").encode()) is not None
    assert needles.find(b"x=" + "".join(f"%{ord(c):02x}" for c in key).encode()) is not None
    assert needles.find(b"x=" + "".join(f"%{ord(c):02X}" for c in key).encode()) is not None


@given(KEYS, KEYS)
def test_another_text_is_not_taken_for_the_key(key: str, other: str) -> None:
    if key not in other:
        assert Needles([key]).find(other.encode()) is None


def test_each_of_several_keys_is_looked_for() -> None:
    needles = Needles(["first-key-0123456789", "second-key-0123456789"])
    assert needles.find(b"the second-key-0123456789 is here") == "in clear"


@pytest.mark.parametrize("keys", [[], ["short"]])
def test_what_would_find_nothing_or_everything_is_refused(keys: list[str]) -> None:
    with pytest.raises(ValueError, match="key to search for"):
        Needles(keys)


def test_its_repr_shows_no_key() -> None:
    assert "secret-canary" not in repr(Needles(["secret-canary-0123456789"]))
