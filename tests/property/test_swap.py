"""Whatever a request looks like: a swap changes references only, and scrubbing takes it back."""

from __future__ import annotations

import base64

from hypothesis import given, settings
from hypothesis import strategies as st

from brokershim.held import held
from brokershim.hosts import Target
from brokershim.scrub import Scrubber
from brokershim.swap import find, references, swap

MODEST = settings(max_examples=60, deadline=None)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,8}(/[a-z0-9][a-z0-9._-]{0,8}){0,3}", fullmatch=True)
KEYS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=12, max_size=60)
# Never a part of a name, so that it is plain where the name ends.
AROUND = st.text("ABC =;,\xe9()", max_size=10)
TARGET = Target("https", "host.example", None)


def leased(name: str, key: str) -> dict[str, object]:
    return {"lease": "l", "value": key, "hosts": ["host.example"], "version": "1",
            "expires_in": 60, "floor": 5, "secret": name}  # fmt: skip


@MODEST
@given(NAMES, KEYS, AROUND, AROUND)
def test_value_is_the_same_but_for_the_key(name: str, key: str, before: str, after: str) -> None:
    lease = held(name, leased(name, key), 0.0)
    value = f"{before}brokerref:{name}{after}".encode("latin-1")
    headers = [(b"x", value), (b"y", b"plain")]
    found = find(headers, b"")
    assert found is not None
    assert references(found) == [name]
    keyed = swap(TARGET, found, {name: lease})
    assert keyed.headers == [(b"x", f"{before}{key}{after}".encode("latin-1")), (b"y", b"plain")]
    assert key.encode() not in lease.scrubber.data(keyed.headers[0][1])


@MODEST
@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40))), st.binary(max_size=40))
def test_any_request_is_looked_at_without_an_error_of_its_own(
    headers: list[tuple[bytes, bytes]], query: bytes
) -> None:
    plain = [(name, value.replace(b"brokerref:", b"")) for name, value in headers]
    found = find(plain, query)
    if found is not None:  # by chance, in Basic credentials or the query
        assert references(found)


SPARE = st.sampled_from([b"accept", b"X-Any", b"anthropic-beta", b"Anthropic-Beta"])
KEY_HEADERS = st.sampled_from(
    [b"x-api-key", b"X-Api-Key", b"api-key", b"X-Goog-Api-Key", b"authorization", b"Authorization"]
)
SCHEMES = st.sampled_from([b"", b"Bearer ", b"bEARER  "])


@MODEST
@given(
    NAMES,
    KEYS,
    st.lists(st.tuples(SPARE, st.sampled_from([b"", b"a", b"a,b", b"b, one", b"two ,one"]))),
    st.lists(st.tuples(KEY_HEADERS, SCHEMES), min_size=1),
)
def test_bearer_stands_in_one_header_and_the_apps_own_values_stay(
    name: str, key: str, spare: list[tuple[bytes, bytes]], places: list[tuple[bytes, bytes]]
) -> None:
    delivery = {"bearer": True, "headers": {"anthropic-beta": "one,two"}}
    lease = held(name, {**leased(name, key), "delivery": delivery}, 0.0)
    reference = f"brokerref:{name}".encode()
    found = find([*spare, *((place, scheme + reference) for place, scheme in places)], b"")
    assert found is not None
    sent = swap(TARGET, found, {name: lease}).headers
    assert [each for each in sent if key.encode() in each[1]] == [
        (b"Authorization", b"Bearer " + key.encode())
    ]
    asked = [item for where, value in spare if where.lower() == b"anthropic-beta"
             for item in items(value)]  # fmt: skip
    betas = [item for where, value in sent if where.lower() == b"anthropic-beta"
             for item in items(value)]  # fmt: skip
    assert betas == asked + [each for each in (b"one", b"two") if each not in asked]


def items(value: bytes) -> list[bytes]:
    return [each.strip() for each in value.split(b",") if each.strip()]


@MODEST
@given(KEYS, st.binary(max_size=7), st.binary(max_size=7))
def test_key_is_found_anywhere_in_base64(key: str, before: bytes, after: bytes) -> None:
    text = base64.b64encode(before + key.encode() + after).decode()
    scrubbed = Scrubber({"a/b": key}).text(text)
    assert "brokerref:a/b" in scrubbed
    assert len(scrubbed.replace("brokerref:a/b", "")) <= len(text) - len(key)
