"""A key is found in whatever shape a provider repeats it."""

from __future__ import annotations

import base64
import json
import re
from urllib.parse import quote, urlencode

import pytest

from brokershim.scrub import Scrubber
from tests.brokershim.conftest import KEY

ODD = "k'\\\"/+%&=0123456789"


@pytest.fixture(params=[KEY, ODD])
def key(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_shapes_that_providers_use(key: str) -> None:
    scrubber = Scrubber({"openai/dev": key})
    shapes = [
        f"Incorrect API key provided: {key}.",
        json.dumps({"message": key}),
        json.dumps({"message": key}).replace("/", "\\/"),
        f"illegal header line: {f'x: {key}'.encode()!r}",
        f"https://host/?key={quote(key, safe='')}&a=1",
        urlencode({"key": key}),
        re.sub("%..", lambda escape: escape[0].lower(), quote(key, safe="")),
        quote(key),
        base64.b64encode(key.encode()).decode(),
        base64.urlsafe_b64encode(key.encode()).decode(),
        base64.b64encode(f"user:{key}".encode()).decode(),
        base64.b64encode(f"us:{key}:x".encode()).decode(),
        base64.b64encode(f"u:{key}".encode()).decode(),
    ]
    for shape in shapes:
        assert "brokerref:openai/dev" in scrubber.text(shape), shape
        assert "brokerref:openai/dev" in scrubber.data(shape.encode()).decode(), shape
        assert key not in scrubber.text(shape)


def test_text_without_a_key_is_the_same_object() -> None:
    scrubber = Scrubber({"openai/dev": KEY})
    text, data = "nothing here", b"nothing here"
    assert scrubber.text(text) is text
    assert scrubber.data(data) is data


def test_each_key_becomes_its_own_reference() -> None:
    scrubber = Scrubber({"a/b": KEY, "c/d": "other-key-0123456789"})
    assert scrubber.text(f"{KEY} other-key-0123456789") == "brokerref:a/b brokerref:c/d"


def test_short_key_is_not_searched_for_in_base64() -> None:
    assert Scrubber({"a/b": "abcd"}).text("YWJjZA") == "YWJjZA"
    assert Scrubber({"a/b": "abcd"}).text("xabcdx") == "xbrokerref:a/bx"


def test_repr_shows_no_key() -> None:
    assert KEY not in repr(Scrubber({"a/b": KEY}))
