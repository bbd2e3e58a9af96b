"""Whatever a request looks like: a swap changes references only, and scrubbing takes it back."""

from __future__ import annotations

import base64

from hypothesis import given, settings
from hypothesis import strategies as st

from brokershim.held import held
from brokershim.hosts import Target
from brokershim.scrub import Scrubber
from brokershim.swap import carries, references, swap

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
    assert references(headers, b"") == [name]
    keyed = swap(TARGET, headers, b"", {name: lease})
    assert keyed.headers == [(b"x", f"{before}{key}{after}".encode("latin-1")), (b"y", b"plain")]
    assert key.encode() not in lease.scrubber.data(keyed.headers[0][1])


@MODEST
@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=40))), st.binary(max_size=40))
def test_any_request_is_looked_at_without_an_error_of_its_own(
    headers: list[tuple[bytes, bytes]], query: bytes
) -> None:
    plain = [(name, value.replace(b"brokerref:", b"")) for name, value in headers]
    if not carries(plain, query):
        assert references(plain, query) == []
        assert swap(TARGET, plain, query, {}) == (plain, query)


@MODEST
@given(KEYS, st.binary(max_size=7), st.binary(max_size=7))
def test_key_is_found_anywhere_in_base64(key: str, before: bytes, after: bytes) -> None:
    text = base64.b64encode(before + key.encode() + after).decode()
    scrubbed = Scrubber({"a/b": key}).text(text)
    assert "brokerref:a/b" in scrubbed
    assert len(scrubbed.replace("brokerref:a/b", "")) <= len(text) - len(key)
