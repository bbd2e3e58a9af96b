"""What the daemon says of a key's delivery is checked, and a request is arranged accordingly."""

from __future__ import annotations

from typing import Any

import pytest

from brokershim.delivery import PLAIN, Delivery, Headers, arranged, delivery_of
from brokershim.errors import MalformedRequest, UsageError

BEARER = Delivery(bearer=True)
TOKEN = (b"Authorization", b"Bearer brokerref:a/b")
REFERENCE = b"brokerref:a/b"


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (None, PLAIN),
        ({"bearer": False, "headers": {}}, PLAIN),
        ({"bearer": True, "headers": {}}, BEARER),
        ({"bearer": False, "headers": {}, "signs": True}, Delivery(signs=True)),
        ({"bearer": False, "headers": {}, "signs": False}, PLAIN),
        (
            {"bearer": False, "headers": {"a-b": "x, y", "c": "z"}},
            Delivery(False, ((b"a-b", b"x, y"), (b"c", b"z"))),
        ),
    ],
)
def test_delivery_is_read(stated: Any, expected: Delivery) -> None:
    assert delivery_of(stated) == expected


@pytest.mark.parametrize(
    "stated",
    [
        {},
        [],
        "bearer",
        True,
        {"bearer": True},
        {"headers": {}},
        {"bearer": 1, "headers": {}},
        {"bearer": "true", "headers": {}},
        {"bearer": None, "headers": {}},
        {"bearer": True, "headers": []},
        {"bearer": True, "headers": None},
        {"bearer": True, "headers": {"a": 1}},
        {"bearer": True, "headers": {"a": ["b"]}},
        {"bearer": False, "headers": {}, "signs": 1},
    ],
)
def test_delivery_of_another_shape_is_refused(stated: Any) -> None:
    with pytest.raises(MalformedRequest, match="does not describe a delivery"):
        delivery_of(stated)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", "x"),
        ("a b", "x"),
        ("a:", "x"),
        ("a\r\nb", "x"),
        ("a\n", "x"),
        ("A-B", "x"),
        ("\xe9", "x"),
        ("a", ""),
        ("a", "x\r\nevil: 1"),
        ("a", "x\n"),
        ("a", "x\ty"),
        ("a", " x"),
        ("a", "x\0"),
        ("a", "\xe9"),
        ("host", "evil.example"),
        ("content-length", "0"),
        ("content-encoding", "gzip"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("upgrade", "h2c"),
        ("expect", "100-continue"),
        ("proxy-authorization", "x"),
        ("x-forwarded-host", "evil.example"),
        ("cookie", "a=b"),
        ("authorization", "Bearer x"),
        ("x-api-key", "x"),
    ],
)
def test_header_that_could_change_what_the_request_is_is_refused(name: str, value: str) -> None:
    with pytest.raises(MalformedRequest, match="not to be added"):
        delivery_of({"bearer": False, "headers": {name: value}})


@pytest.mark.parametrize(
    "place",
    [
        (b"x-api-key", REFERENCE),
        (b"X-API-KEY", REFERENCE),
        (b"api-key", REFERENCE),
        (b"x-goog-api-key", REFERENCE),
        (b"authorization", b"Bearer " + REFERENCE),
        (b"Authorization", b"bearer  " + REFERENCE + b" "),
        (b"authorization", REFERENCE),
    ],
)
def test_reference_is_moved_to_where_a_token_stands(place: tuple[bytes, bytes]) -> None:
    first, last = (b"host", b"h"), (b"accept", b"*/*")
    assert arranged([first, place, last], "a/b", BEARER) == [first, last, TOKEN]


def test_reference_in_two_headers_is_sent_in_one() -> None:
    headers = [(b"x-api-key", REFERENCE), (b"authorization", b"Bearer " + REFERENCE)]
    assert arranged(headers, "a/b", BEARER) == [TOKEN]


@pytest.mark.parametrize(
    "own", [b"Bearer something", b"Bearer brokerref:a/bc", b"Basic eDp5", b"", b"Bearer"]
)
def test_authorization_of_the_apps_own_is_neither_replaced_nor_doubled(own: bytes) -> None:
    with pytest.raises(UsageError, match="something else"):
        arranged([(b"x-api-key", REFERENCE), (b"Authorization", own)], "a/b", BEARER)


def test_other_key_headers_stay() -> None:
    headers = [
        (b"x-api-key", REFERENCE),
        (b"api-key", b"brokerref:a/bc"),
        (b"x-goog-api-key", b"k"),
    ]
    assert arranged(headers, "a/b", BEARER) == [*headers[1:], TOKEN]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [(b"anthropic-beta", b"one,two")]),
        ([(b"Anthropic-Beta", b"own")], [(b"Anthropic-Beta", b"own,one,two")]),
        ([(b"anthropic-beta", b"two, own")], [(b"anthropic-beta", b"two, own,one")]),
        ([(b"anthropic-beta", b"one,two")], [(b"anthropic-beta", b"one,two")]),
        ([(b"anthropic-beta", b"")], [(b"anthropic-beta", b"one,two")]),
        ([(b"anthropic-beta", b"one-more")], [(b"anthropic-beta", b"one-more,one,two")]),
        (
            [(b"anthropic-beta", b"own"), (b"a", b"b"), (b"anthropic-beta", b"one")],
            [(b"anthropic-beta", b"own"), (b"a", b"b"), (b"anthropic-beta", b"one,two")],
        ),
    ],
)
def test_value_is_added_once_to_what_the_app_lists(before: Headers, after: Headers) -> None:
    kept = before.copy()
    delivery = Delivery(headers=((b"anthropic-beta", b"one,two"),))
    assert arranged(before, "a/b", delivery) == after
    assert before == kept, "they are the app's own"
