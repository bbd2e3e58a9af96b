"""References in headers and queries, and nothing else, become keys."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import pytest

from brokershim.delivery import Headers
from brokershim.errors import HostNotAllowed, UsageError
from brokershim.held import Held, held
from brokershim.hosts import Target
from brokershim.swap import Keyed, find, references, swap
from tests.brokershim.conftest import KEY

TARGET = Target("https", "api.openai.com", None)
OTHER_KEY = "other-0123456789"


def lease(name: str, key: str, **delivery: Any) -> Held:
    reply = {
        "lease": "l",
        "value": key,
        "hosts": ["api.openai.com"],
        "version": "1",
        "expires_in": 60,
        "floor": 5,
        "delivery": {"bearer": False, "headers": {}, **delivery},
    }
    return held(name, reply, 0.0)


Leases = Mapping[str, Held]
LEASES = {"openai/dev": lease("openai/dev", KEY), "a/b": lease("a/b", OTHER_KEY)}


def named(headers: Headers, query: bytes = b"") -> list[str]:
    found = find(headers, query)
    return references(found) if found else []


def swapped(headers: Headers, query: bytes = b"", *, leases: Leases = LEASES) -> Keyed:
    found = find(headers, query)
    assert found is not None
    return swap(TARGET, found, {name: leases[name] for name in references(found)})


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
    assert swapped(headers).headers == [(b"accept", b"*/*"), (b"x-any", expected), (b"x-any", b"b")]


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
    assert find([(b"authorization", value)], b"") is None


def test_name_of_a_header_is_left_alone() -> None:
    assert find([(b"brokerref:openai/dev", b"x")], b"") is None


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
    assert named([], query) == ["openai/dev"]
    encoded = KEY.replace("/", "%2F").replace("+", "%2B").encode()
    assert swapped([], query) == ([], b"a=%20&key=" + encoded + b"&b=1")


@pytest.mark.parametrize("query", [b"", b"q=brokerref", b"q=what+is+brokerref%3A+then", b"a=b"])
def test_other_query_is_left_alone(query: bytes) -> None:
    assert find([], query) is None


@pytest.mark.parametrize(
    "value",
    [b"Bearer brokerref:OpenAI/dev", b"brokerref:", b"brokerref: openai", basic("u:brokerref:/x")],
)
def test_reference_without_a_name_is_an_error_that_shows_what_one_looks_like(value: bytes) -> None:
    with pytest.raises(UsageError) as refused:
        named([(b"authorization", value)])
    assert "brokerref:openai/dev" in refused.value.hint


def test_each_name_is_asked_for_once() -> None:
    headers = [(b"a", b"brokerref:openai/dev"), (b"b", b"brokerref:openai/dev,brokerref:a/b")]
    assert named(headers, b"k=brokerref:a/b") == ["openai/dev", "a/b"]


def test_one_secret_that_may_not_go_there_stops_the_request() -> None:
    found = find([(b"a", b"brokerref:openai/dev")], b"")
    assert found is not None
    with pytest.raises(HostNotAllowed):
        swap(Target("https", "evil.example", None), found, LEASES)


def test_what_was_swapped_shows_no_key() -> None:
    assert KEY not in repr(swapped([(b"a", b"brokerref:openai/dev")]))


def test_key_is_no_template_for_re() -> None:
    odd = lease("a/b", r"odd\\0\g<0>\n-0123456789")
    keyed = swapped([(b"a", b"brokerref:a/b")], b"k=brokerref:a/b", leases={"a/b": odd})
    assert keyed.headers == [(b"a", odd.value.encode())]
    assert unquote(keyed.query.decode()) == f"k={odd.value}"


# Secrets whose keys are bearer tokens

TOKEN = lease("a/b", OTHER_KEY, bearer=True, headers={"anthropic-beta": "oauth-2025-04-20"})
BEARER = (b"Authorization", f"Bearer {OTHER_KEY}".encode())
BETA = (b"anthropic-beta", b"oauth-2025-04-20")


def delivered(*headers: tuple[bytes, bytes], query: bytes = b"") -> Headers:
    return swapped([*headers], query, leases={**LEASES, "a/b": TOKEN}).headers


def test_token_goes_out_as_one_and_takes_its_headers_along() -> None:
    accept = (b"Accept", b"*/*")
    assert delivered((b"x-api-key", b"brokerref:a/b"), accept) == [accept, BEARER, BETA]


def test_other_key_in_the_same_request_stands_where_its_reference_stood() -> None:
    both = delivered((b"x-api-key", b"brokerref:a/b"), (b"x-trace", b"t=brokerref:openai/dev"))
    assert both == [(b"x-trace", f"t={KEY}".encode()), BEARER, BETA]


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"x-own", b"brokerref:a/b")], b""),
        ([(b"x-own", b"Bearer brokerref:a/b")], b""),
        ([(b"x-api-key", b"key=brokerref:a/b")], b""),
        ([(b"x-api-key", b"brokerref:a/b"), (b"cookie", b"k=brokerref:a/b")], b""),
        ([(b"authorization", basic("user:brokerref:a/b"))], b""),
        ([(b"x-proxy", basic("brokerref:a/b:"))], b""),
        ([(b"x-api-key", b"brokerref:a/b")], b"key=brokerref%3Aa%2Fb"),
        ([], b"key=brokerref:a/b"),
    ],
)
def test_token_that_stands_where_it_cannot_go_stops_the_request(
    headers: Headers, query: bytes
) -> None:
    with pytest.raises(UsageError, match="a/b goes into the Authorization header"):
        delivered(*headers, query=query)


def test_two_tokens_cannot_share_a_header() -> None:
    leases = {"a/b": TOKEN, "openai/dev": lease("openai/dev", KEY, bearer=True)}
    headers = [(b"x-api-key", b"brokerref:a/b"), (b"api-key", b"brokerref:openai/dev")]
    with pytest.raises(UsageError, match="where the app has something else"):
        swapped(headers, leases=leases)


def test_headers_go_along_with_a_key_that_stays_where_it_is() -> None:
    plain = lease("a/b", OTHER_KEY, headers={"x-project": "p 1"})
    keyed = swapped([(b"x-own", b"k=brokerref:a/b")], b"k=brokerref:a/b", leases={"a/b": plain})
    assert keyed.headers == [(b"x-own", f"k={OTHER_KEY}".encode()), (b"x-project", b"p 1")]
    assert keyed.query == f"k={OTHER_KEY}".encode()
