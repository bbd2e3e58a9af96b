"""Whatever is sent: what we write we read back, and what we cannot read is one clear error."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from brokershim import wire
from brokershim.errors import BadRequest, LimitExceeded

MODEST = settings(max_examples=60, deadline=None)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SCALAR = st.none() | st.booleans() | st.integers() | TEXT
VALUE = st.recursive(
    SCALAR | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
IDS = st.integers(-(2**53) + 1, 2**53 - 1) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=64
)


@MODEST
@given(IDS, TEXT, st.dictionaries(TEXT, VALUE, max_size=4))
def test_call_is_read_as_it_was_written(
    request_id: wire.RequestId, method: str, params: dict[str, Any]
) -> None:
    call = wire.Request(request_id, method, params)
    line = wire.encode_request(call)
    assert line.count(b"\n") == 1
    assert wire.request_of(wire.decode(line[:-1])) == call


@MODEST
@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line)), st.data())
def test_lines_are_the_same_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines) + b"rest"
    buffer, found = wire.LineBuffer(), list[bytes]()
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += buffer.feed(stream[:size])
        stream = stream[size:]
    assert found == lines
    assert buffer.feed(b"\n") == [b"rest"]


@MODEST
@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(line: bytes) -> None:
    _read(line)


@MODEST
@given(st.dictionaries(st.sampled_from(["jsonrpc", "id", "method", "params", "x"]), VALUE))
def test_any_object_is_a_request_or_refused(message: dict[str, Any]) -> None:
    _read(json.dumps(message).encode())


@MODEST
@given(st.binary(min_size=1, max_size=30), st.integers(1, 20))
def test_line_over_the_limit_is_refused_whole_or_in_parts(data: bytes, limit: int) -> None:
    buffer = wire.LineBuffer(limit)
    longest = max(len(line) for line in data.split(b"\n"))
    try:
        for index in range(len(data)):
            buffer.feed(data[index : index + 1])
    except LimitExceeded:
        assert longest >= limit
    else:
        assert longest < limit


def _read(line: bytes) -> None:
    """Read a line; only errors of one kind may come of it."""
    try:
        request = wire.request_of(wire.decode(line))
    except BadRequest:
        return
    assert wire.request_of(wire.decode(wire.encode_request(request))) == request
