"""The lines of tests/wire_vectors.json, and the limits of a line."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from brokershim import wire
from brokershim.errors import BrokerError, LeaseNotFound, LimitExceeded, MalformedRequest

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parents[1] / "wire_vectors.json").read_text("utf-8")
)


def about(vector: dict[str, Any]) -> str:
    return str(vector["about"])


@pytest.mark.parametrize("vector", VECTORS["requests"], ids=about)
def test_request_is_understood(vector: dict[str, Any]) -> None:
    request = wire.request_of(wire.decode(vector["line"].encode()))
    assert request == (vector["id"], vector["method"], vector["params"])


@pytest.mark.parametrize(
    "vector",
    [
        *({**vector, "bytes": vector["line"].encode()} for vector in VECTORS["refused"]),
        *({**vector, "bytes": bytes.fromhex(vector["hex"])} for vector in VECTORS["refused_bytes"]),
    ],
    ids=about,
)
def test_line_is_refused(vector: dict[str, Any]) -> None:
    answered: wire.RequestId | None = None
    with pytest.raises(BrokerError) as refused:  # noqa: PT012 - the id of the same line
        message = wire.decode(vector["bytes"])
        answered = wire.request_id_of(message)
        wire.request_of(message)
    assert refused.value.kind == vector["kind"]
    assert answered == vector["id"]


@pytest.mark.parametrize("vector", VECTORS["written"], ids=about)
def test_message_is_written(vector: dict[str, Any]) -> None:
    assert wire.encode(vector["message"]) == vector["line"].encode() + b"\n"


def test_refusal_does_not_quote_the_line() -> None:
    with pytest.raises(MalformedRequest) as refused:
        wire.decode(b'{"value": "sk-test-0123456789" oops')
    assert "sk-test" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_each_kind_of_message_is_written_as_json_rpc() -> None:
    call = wire.Request(1, "lease.renew", {"lease": "l"})
    assert wire.request_of(wire.decode(wire.encode_request(call))) == call
    assert wire.decode(wire.encode_result("a", {"x": 1})) == {
        "jsonrpc": "2.0",
        "id": "a",
        "result": {"x": 1},
    }
    refusal = wire.decode(wire.encode_error(None, LeaseNotFound("no such lease")))
    assert refusal["id"] is None
    assert refusal["error"]["data"]["kind"] == "not_found.lease"
    assert "id" not in wire.decode(wire.encode_notification("m", {}))


def test_longest_line_is_written_and_one_more_byte_is_not() -> None:
    around = len(wire.encode({"a": ""}))
    assert len(wire.encode({"a": "x" * (wire.MAX_LINE - around)})) == wire.MAX_LINE
    with pytest.raises(LimitExceeded):
        wire.encode({"a": "x" * (wire.MAX_LINE - around + 1)})


def test_longest_line_is_read_and_one_more_byte_is_not() -> None:
    longest = b"x" * (wire.MAX_LINE - 1)
    assert wire.LineBuffer().feed(longest + b"\n") == [longest]
    with pytest.raises(LimitExceeded):
        wire.LineBuffer().feed(longest + b"x\n")
    with pytest.raises(LimitExceeded):
        wire.LineBuffer().feed(longest + b"x")


def test_line_that_has_begun_waits_for_its_end() -> None:
    lines = wire.LineBuffer()
    assert lines.feed(b"a\nb") == [b"a"]
    assert lines.feed(b"\n") == [b"b"]


def test_line_sent_byte_by_byte_is_not_copied_each_time() -> None:
    lines = wire.LineBuffer()
    lines.feed(b"x" * 60_000)
    lines.feed(b"x")
    tracemalloc.start()
    try:
        for _ in range(100):
            lines.feed(b"x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30_000
