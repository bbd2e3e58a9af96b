"""The rules for all output."""

from __future__ import annotations

import json

import pytest

from brokerctl import output


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 鍵", "plain é 鍵"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\x9b2J", r"\x9b2J"),
        ("\u202eevil", r"\u202eevil"),
        ("\udcff", r"\udcff"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
    ],
)
def test_what_is_not_plain_to_see_is_escaped(text: str, shown: str) -> None:
    assert output.safe(text) == shown


def test_a_table_lines_up_and_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("name", "n"), [("long name", "1"), ("a\x1b", "22")], empty="none")
    assert capsys.readouterr().out == "NAME       N\nlong name  1\na\\x1b      22\n"


def test_an_empty_table_says_so_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("name",), [], empty="none here")
    assert capsys.readouterr() == ("", "brokerctl: none here\n")


def test_json_is_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    output.document({"a": "é\x1b"})
    shown = capsys.readouterr().out
    assert shown.isascii()
    assert json.loads(shown) == {"a": "é\x1b"}


def test_no_colour_where_it_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.result("x", "red")
    output.warning("y")
    assert "\x1b" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m"),
        (899.5, "14m 59s"),
        (3600, "1h"),
        (90061, "1d 1h"),
        (-3, "0s"),
    ],
)
def test_a_length_of_time(seconds: float, text: str) -> None:
    assert output.span(seconds) == text
