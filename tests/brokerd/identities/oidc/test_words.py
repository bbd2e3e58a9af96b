"""What is shown of a provider's words, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerd.identities.oidc import words

TOKENS = st.from_regex(r"[A-Za-z0-9_-]{20,80}\.[A-Za-z0-9_-]{20,80}", fullmatch=True)


def test_a_reason_is_shown() -> None:
    said = words.said({"error": "invalid_grant", "error_description": "the grant was revoked"})
    assert said == "invalid_grant: the grant was revoked"


@pytest.mark.parametrize("document", [{}, {"error": 7}, {"error": "no\nname"}, {"error": "A" * 99}])
def test_an_error_without_a_name_gets_none_of_its_own(document: dict[str, object]) -> None:
    assert words.said(document) == "an error without a name"


def test_it_is_one_short_line() -> None:
    shown = words.shown("no\n\x1b[31m " + "word " * 200)
    assert shown.isprintable()
    assert len(shown) <= 201


@given(TOKENS, st.text(max_size=20), st.text(max_size=20))
def test_no_token_is_repeated(token: str, before: str, after: str) -> None:
    shown = words.said({"error": "invalid_grant", "error_description": f"{before}{token}{after}"})
    assert token not in shown
    assert not any(part in shown for part in token.split("."))


@given(st.text(max_size=500))
def test_whatever_it_says_it_can_be_shown(text: str) -> None:
    assert words.shown(text).isprintable()
