"""References in headers and queries, and nothing else, become keys."""

from __future__ import annotations

import base64
from urllib.parse import unquote

import pytest

from brokershim.errors import HostNotAllowed, UsageError
from brokershim.held import Held, held
from brokershim.hosts import Target
from brokershim.swap import Headers, carries, references, swap
from tests.brokershim.conftest import KEY

TARGET = Target("https", "api.openai.com", None)
OTHER_KEY = "other-0123456789"


def lease(name: str, key: str) -> Held:
    reply = {
        "lease": "l",
        "value": key,
        "hosts": ["api.openai.com"],
        "version": "1",
        "expires_in": 60,
        "floor": 5,
    }
    return held(name, reply, 0.0)


LEASES = {"openai/dev": lease("openai/dev", KEY), "a/b": lease("a/b", OTHER_KEY)}


def swapped(headers: Headers, query: bytes = b"") -> tuple[Headers, bytes]:
    used = {name: LEASES[name] for name in references(headers, query)}
    keyed = swap(TARGET, headers, query, used)
    return keyed.headers, keyed.query


def basic(credentials: str) -> bytes:
    return b"Basic " + base64.b64encode(credentials.encode())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"Bearer brokerref:openai/dev", f"Bearer {KEY}".encode()),
        (b"brokerref:openai/dev", KEY.encode()),
        (b"Token token=brokerref:openai/dev, x", f"Token token={KEY}, x".encode()),
        (b"brokerref:openai/dev:brokerref:a/b", f"{KEY}:{OTHER_KEY}".encode()),
        (basic("brokerref:openai/dev:"), basic(f"{KEY}:")),
        (basic("user:brokerref:openai/dev"), basic(f"user:{KEY}")),
        (b"bAsIc " + basic("u:brokerref:a/b")[6:], b"bAsIc " + basic(f"u:{OTHER_KEY}")[6:]),
    ],
)
def test_header_value_is_swapped(value: bytes, expected: bytes) -> None:
    headers = [(b"accept", b"*/*"), (b"x-any", value), (b"x-any", b"b")]
    assert carries(headers, b"")
    assert swapped(headers)[0] == [(b"accept", b"*/*"), (b"x-any", expected), (b"x-any", b"b")]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Bearer sk-something",
        b"Basic ",
        b"Basic !!!",
        b"Basic " + b"x" * 5,
        b"Bas",
        basic("user:password"),
        b"brokerref",
        b"b\xff\xfe",
    ],
)
def test_other_value_is_left_alone(value: bytes) -> None:
    headers = [(b"authorization", value)]
    assert not carries(headers, b"")
    assert references(headers, b"") == []
    assert swapped(headers) == (headers, b"")


def test_name_of_a_header_is_left_alone() -> None:
    assert not carries([(b"brokerref:openai/dev", b"x")], b"")


@pytest.mark.parametrize(
    "written",
    [
        b"brokerref:openai/dev",
        b"brokerref%3Aopenai%2Fdev",
        b"brokerref%3aopenai%2fdev",
        b"brokerref:openai%2Fdev",
    ],
)
def test_query_is_swapped_and_encoded(written: bytes) -> None:
    query = b"a=%20&key=" + written + b"&b=1"
    assert carries([], query)
    assert references([], query) == ["openai/dev"]
    encoded = KEY.replace("/", "%2F").replace("+", "%2B").encode()
    assert swapped([], query) == ([], b"a=%20&key=" + encoded + b"&b=1")


@pytest.mark.parametrize("query", [b"", b"q=brokerref", b"q=what+is+brokerref%3A+then", b"a=b"])
def test_other_query_is_left_alone(query: bytes) -> None:
    assert not carries([], query)
    assert references([], query) == []
    assert swapped([], query) == ([], query)


@pytest.mark.parametrize(
    "value",
    [b"Bearer brokerref:OpenAI/dev", b"brokerref:", b"brokerref: openai", basic("u:brokerref:/x")],
)
def test_reference_without_a_name_is_an_error_that_shows_what_one_looks_like(value: bytes) -> None:
    assert carries([(b"authorization", value)], b"")
    with pytest.raises(UsageError) as refused:
        references([(b"authorization", value)], b"")
    assert "brokerref:openai/dev" in refused.value.hint


def test_each_name_is_asked_for_once() -> None:
    headers = [(b"a", b"brokerref:openai/dev"), (b"b", b"brokerref:openai/dev,brokerref:a/b")]
    assert references(headers, b"k=brokerref:a/b") == ["openai/dev", "a/b"]


def test_one_secret_that_may_not_go_there_stops_the_request() -> None:
    headers = [(b"a", b"brokerref:openai/dev")]
    with pytest.raises(HostNotAllowed):
        swap(Target("https", "evil.example", None), headers, b"", LEASES)


def test_what_was_swapped_shows_no_key() -> None:
    assert KEY not in repr(swap(TARGET, [(b"a", b"brokerref:openai/dev")], b"", LEASES))


def test_key_is_no_template_for_re() -> None:
    odd = lease("a/b", r"odd\\0\g<0>\n-0123456789")
    keyed = swap(TARGET, [(b"a", b"brokerref:a/b")], b"k=brokerref:a/b", {"a/b": odd})
    assert keyed.headers == [(b"a", odd.value.encode())]
    assert unquote(keyed.query.decode()) == f"k={odd.value}"
