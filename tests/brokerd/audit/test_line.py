"""One event, one line, sealed to the one before."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import cast

import pytest

from brokerd.audit.line import MAX_LINE, MAX_TEXT, START, AuditHead, Field, seal, unseal

_AT = 1795416420.125


def _sealed(**fields: Field) -> dict[str, object]:
    line, _ = seal(START, _AT, "lease.granted", fields)
    assert line.endswith(b"\n")
    assert len(line) <= MAX_LINE
    return unseal(line[:-1])


def test_a_line_is_what_the_documentation_says() -> None:
    before = AuditHead(41, "ab" * 32)
    line, head = seal(before, _AT, "lease.granted", {"secret": "openai/dev", "pid": 7})
    body = (
        b'{"seq":42,"time":"2026-11-23T06:47:00.125000Z","event":"lease.granted",'
        b'"secret":"openai/dev","pid":7,"prev":"' + b"ab" * 32 + b'"'
    )
    digest = sha256(body + b"}").hexdigest()
    assert line == body + b',"hash":"' + digest.encode() + b'"}\n'
    assert head == AuditHead(42, digest)


def test_any_reader_of_json_can_check_a_line() -> None:
    line, head = seal(START, _AT, "x", {"path": "/a\u2028b\x1b[31m", "ttl": 0.1, "none": None})
    event = json.loads(line)
    digest = event.pop("hash")
    assert sha256(json.dumps(event, separators=(",", ":")).encode()).hexdigest() == digest
    assert digest == head.hash


def test_control_characters_do_not_reach_a_terminal() -> None:
    line, _ = seal(START, _AT, "x", {"path": "\x1b]0;owned\x07\x9b\n\r\u202e"})
    assert line.strip().isascii()
    assert line.strip().decode().isprintable()


@pytest.mark.parametrize("name", ["seq", "time", "prev", "hash"])
def test_a_field_cannot_take_a_name_of_the_chain(name: str) -> None:
    with pytest.raises(ValueError, match="chain uses itself"):
        seal(START, _AT, "x", {name: 1})


def test_a_value_that_json_does_not_know_is_refused_without_its_value() -> None:
    with pytest.raises(TypeError) as caught:
        seal(START, _AT, "x", {"value": cast("str", b"sk-secret")})
    assert "sk-secret" not in str(caught.value)
    with pytest.raises(ValueError, match="not JSON compliant"):
        seal(START, _AT, "x", {"ttl": float("nan")})


def test_a_long_text_loses_its_middle() -> None:
    path = "/start/" + "x" * 5000 + "/evil.py"
    event = _sealed(path=path, reason="y" * MAX_TEXT)
    cut = str(event["path"])
    assert len(cut) == MAX_TEXT
    assert cut.startswith("/start/")
    assert cut.endswith("/evil.py")
    assert "…" in cut
    assert event["reason"] == "y" * MAX_TEXT


def test_long_lists_and_objects_are_cut() -> None:
    event = _sealed(names=["n" * 600] * 40, env={f"V{n}": "w" * 600 for n in range(40)})
    assert isinstance(event["names"], list)
    assert event["names"][-1] == "…"
    assert isinstance(event["env"], dict)
    assert list(event["env"])[-1] == "…"


def test_many_fields_at_their_worst_fit_a_line() -> None:
    """A caller must not keep its events out of the log by what it is called."""
    assert _sealed(**{f"field{n}": "\U0001f511" * 9999 for n in range(20)})["seq"] == 1


def test_more_than_a_line_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="too many fields"):
        seal(START, _AT, "x", {f"field{n}": "z" * 99 for n in range(200)})


def test_a_path_that_is_no_text_is_written_all_the_same() -> None:
    event = _sealed(path="/tmp/\udcff", names=["\udcfe"], key="🔑")
    assert event["path"] == "/tmp/\\udcff"
    assert event["names"] == ["\\udcfe"]
    assert event["key"] == "🔑"


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"", "end as an event"),
        (b"{}", "end as an event"),
        (b"x" * MAX_LINE, "end as an event"),
        (b'{"seq":1,"hash":"' + b"0" * 64 + b'"}', "its own hash"),
    ],
)
def test_what_was_not_sealed_is_no_event(line: bytes, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        unseal(line)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b'{"seq":1,"seq":2,"prev":""}', "not one JSON object"),
        (b"\xff}", "not one JSON object"),
        (b'{"seq":true,"prev":""}', "no seq or prev"),
        (b'{"seq":1,"prev":7}', "no seq or prev"),
        (b'{"seq":1,"prev":"' + b"0" * MAX_LINE + b'"}', "end as an event"),
    ],
)
def test_a_right_hash_over_rubbish_is_no_event(body: bytes, what: str) -> None:
    digest = sha256(body).hexdigest().encode()
    with pytest.raises(ValueError, match=what):
        unseal(body[:-1] + b',"hash":"' + digest + b'"}')
