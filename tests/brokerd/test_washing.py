"""Does what a server says reach a person without what it was sent, and as one line?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokerd.washing import washed

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJlLW9mLWl0LWFsbA"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no rule for sub repo:octo-org/octo-repo", "no rule for sub repo:octo-org/octo-repo"),
        ("issuer https://token.actions.example", "issuer https://token.actions.example"),
        (f"got {TOKEN}.", "got […]."),
        ("got " + TOKEN[:15], "got […]"),
        ("got " + TOKEN[:30], "got […][…]"),
        ("got eyJh", "got […]"),
        ("key sk-ant-oat01-abcDEF0123456789", "key […]"),
        ("a\r\nb\x1b[31m\u202e\0c", "a b [31m c"),
        ("x" * 500, "x" * 239 + "…"),
        ("  ", ""),
    ],
)
def test_words_are_washed(text: str, shown: str) -> None:
    assert washed(text, TOKEN) == shown


@given(st.text(), st.text(), st.integers(0, len(TOKEN) - 24))
def test_no_part_of_a_token_comes_through(before: str, after: str, start: int) -> None:
    piece = TOKEN[start : start + 24]
    shown = washed(before + TOKEN + after, TOKEN)
    assert piece not in shown
    assert len(shown) <= 240
    assert shown.isprintable()


@pytest.mark.parametrize(
    ("text", "secrets", "shown"),
    [
        ("got root of it", ("root",), "got […] of it"),
        ("as is", ("s.abcdefgh", ""), "as is"),  # the part before the dot is no secret
        ("got abcdefgh", ("s.abcdefgh",), "got […]"),
        ("got s.abcdefgh too", ("abc", "s.abcdefgh"), "got […] too"),  # the longest first
        (
            "1 error occurred:\n\t* permission denied\n\n",
            (),
            "1 error occurred: * permission denied",
        ),
        ("accessor hmac-sha256:0123456789abcdef0123456789abcdef", (), "accessor hmac-sha256:[…]"),
        ("hvs.CAESIJZ2uYk0nQ1R6vGm0Tq", (), "[…]"),
        ("it got hvs.CAESIJabcdefgh, b.abcdefghijklmnop", (), "it got […], […]"),
        ("as.is, e.g. sub.domains", (), "as.is, e.g. sub.domains"),
    ],
)
def test_so_are_several_secrets_and_tokens_of_vault(
    text: str, secrets: tuple[str, ...], shown: str
) -> None:
    assert washed(text, *secrets) == shown
