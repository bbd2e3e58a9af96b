"""Whatever a request looks like, it is signed anew as botocore would sign it with the real keys."""

from __future__ import annotations

from datetime import UTC, datetime
from unittest import mock
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokershim.reference import reference
from brokershim.sigv4 import Message, payload_of, signature_of, signed
from tests.brokershim.test_sigv4 import HOST, KEYS, NAME, Credentials, headers_of, made

_WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
_SEGMENTS = st.lists(st.one_of(_WORDS, st.sampled_from(["", ".", "..", "a:0", "~"])), max_size=5)
_HEADERS = st.dictionaries(
    st.from_regex(r"X-[A-Z][a-z]{1,6}", fullmatch=True),
    st.text(st.sampled_from("aZ09 ,;=/+-_"), min_size=1, max_size=20),
    max_size=3,
)
_QUERY = st.lists(st.tuples(_WORDS, _WORDS), max_size=3)
_BODY = st.binary(max_size=50)


@settings(max_examples=60)
@given(_SEGMENTS, _QUERY, _HEADERS, _BODY)
def test_botocore_would_sign_alike(
    segments: list[str], query: list[tuple[str, str]], headers: dict[str, str], body: bytes
) -> None:
    _is_signed_alike(segments, query, headers, body)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(max_examples=5000)
@given(_SEGMENTS, _QUERY, _HEADERS, _BODY)
def test_so_it_would_however_odd_the_request(
    segments: list[str], query: list[tuple[str, str]], headers: dict[str, str], body: bytes
) -> None:
    _is_signed_alike(segments, query, headers, body)


def _is_signed_alike(
    segments: list[str], query: list[tuple[str, str]], headers: dict[str, str], body: bytes
) -> None:
    path = "/".join(quote(each, safe="") for each in segments)
    pairs = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in query if name
    )
    url = f"https://{HOST}/{path}" + (f"?{pairs}" if pairs else "")
    at = datetime(2026, 11, 23, 12, tzinfo=UTC)
    with mock.patch("botocore.auth.get_current_datetime", return_value=at):
        mine = made(Credentials(*[reference(NAME)] * 3), url, headers=headers, data=body)
        real = made(Credentials(*KEYS), url, headers=headers, data=body)
    sent = headers_of(mine)
    (signature,) = filter(None, (signature_of(*each) for each in sent))
    parts = urlsplit(url)
    message = Message(
        "POST", parts.path, parts.query.encode(), HOST.encode(), sent, payload_of(sent, body)
    )
    found = {
        name.decode().lower(): value.decode() for name, value in signed(message, signature, KEYS)
    }
    assert found["authorization"] == real.headers["Authorization"]
