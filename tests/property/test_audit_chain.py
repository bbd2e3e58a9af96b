"""Whatever is done to any byte or line of any log is found."""

from __future__ import annotations

import operator
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from brokerd.audit import AuditLog
from brokerd.audit.chain import Chain, Witness
from brokerd.audit.line import MAX_LINE, START, AuditHead, Field, seal, unseal
from brokerd.audit.reader import events
from brokerd.audit.verify import verify

# What JSON escapes, what UTF-8 cannot hold, and what takes twelve bytes of a line.
_SHORT = st.text(st.sampled_from('ab/"\\\n\x00\x1b\x7f\u2028é\udcff🔑'), max_size=12)
_TEXT = st.builds(operator.mul, _SHORT, st.sampled_from([1, 1, 100]))
_FLOAT = st.floats(allow_nan=False, allow_infinity=False)
_SCALAR = st.none() | st.booleans() | st.integers() | _FLOAT | _TEXT
_FIELD = _SCALAR | st.lists(_SCALAR, max_size=5) | st.dictionaries(_TEXT, _SCALAR, max_size=3)
_NAMES = st.sampled_from(["secret", "pid", "path", "reason", "names"])
_EVENTS = st.lists(st.dictionaries(_NAMES, _FIELD, max_size=4), min_size=2, max_size=9)


@contextmanager
def _log(written: list[dict[str, Field]]) -> Generator[Path]:
    """Yield the folder of a log of a few small files."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "audit"
        log = AuditLog(str(folder), max_bytes=1000, wall_clock=lambda: 0.0)
        for fields in written:
            log.append("x", **fields)
        log.close()
        yield folder


def _lines(written: list[dict[str, Field]]) -> tuple[list[bytes], AuditHead]:
    lines, head = [], START
    for fields in written:
        line, head = seal(head, 0.0, "x", fields)
        lines.append(line[:-1])
    return lines, head


def _is_clean(lines: list[bytes], head: AuditHead) -> bool:
    chain = Chain(Witness("the anchor", head))
    problems = [problem for line in lines for problem in chain.take(line)]
    return not problems + chain.end()


@given(_EVENTS)
def test_every_event_fits_and_comes_back(written: list[dict[str, Field]]) -> None:
    lines, head = _lines(written)
    assert all(len(line) < MAX_LINE and line.isascii() for line in lines)
    assert [unseal(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert _is_clean(lines, head)


@given(_EVENTS, st.data())
def test_any_edit_of_a_line_is_found(written: list[dict[str, Field]], data: st.DataObject) -> None:
    lines, head = _lines(written)
    index = data.draw(st.integers(0, len(lines) - 1))
    at = data.draw(st.integers(0, len(lines[index]) - 1))
    instead = data.draw(st.binary(max_size=3))
    edited = lines[index][:at] + instead + lines[index][at + 1 :]
    assume(edited != lines[index])
    assert not _is_clean([*lines[:index], edited, *lines[index + 1 :]], head)


@given(_EVENTS, st.data())
def test_any_other_order_or_selection_of_lines_is_found(
    written: list[dict[str, Field]], data: st.DataObject
) -> None:
    lines, head = _lines(written)
    places = st.integers(0, len(lines) - 1)
    order = data.draw(st.lists(places, max_size=12) | st.permutations(range(len(lines))))
    assume(list(order) != list(range(len(lines))))
    assert not _is_clean([lines[place] for place in order], head)


@given(_EVENTS, st.data())
def test_a_line_sealed_anew_is_found(written: list[dict[str, Field]], data: st.DataObject) -> None:
    """An attacker who knows the format can seal one line, but not what others know of it."""
    lines, head = _lines(written)
    index = data.draw(st.integers(0, len(lines) - 1))
    before = START if index == 0 else AuditHead(index, str(unseal(lines[index - 1])["hash"]))
    forged, _ = seal(before, 1.0, "forged", {})
    assert not _is_clean([*lines[:index], forged[:-1], *lines[index + 1 :]], head)


@settings(max_examples=40)
@given(_EVENTS, st.data())
def test_any_edit_of_any_byte_of_any_file_is_found(
    written: list[dict[str, Field]], data: st.DataObject
) -> None:
    with _log(written) as folder:
        assert verify(str(folder)).problems == ()
        assert len(list(events(str(folder)))) == len(written)
        path = data.draw(st.sampled_from(sorted(folder.iterdir())))
        content = path.read_bytes()
        at = data.draw(st.integers(0, len(content) - 1))
        instead = data.draw(st.binary(max_size=2))
        edited = content[:at] + instead + content[at + 1 :]
        assume(edited != content)
        path.write_bytes(edited)
        assert verify(str(folder)).problems != ()


@settings(max_examples=20)
@given(_EVENTS, st.data())
def test_the_removal_of_any_file_or_of_any_end_is_found(
    written: list[dict[str, Field]], data: st.DataObject
) -> None:
    with _log(written) as folder:
        path = data.draw(st.sampled_from(sorted(folder.iterdir())))
        size = data.draw(st.integers(-1, path.stat().st_size - 1))
        if size < 0:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:size])
        assert verify(str(folder)).problems != ()
