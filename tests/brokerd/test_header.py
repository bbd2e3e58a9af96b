"""Which keys can stand in a header? What cannot is refused, and nothing of it is shown."""

from __future__ import annotations

import pytest

from brokerd.header import header_text
from brokerd.model import BoundedBy, Credential
from brokershim.errors import BackendUnavailable


def credential(value: bytes) -> Credential:
    return Credential(value, "1", BoundedBy.BROKER)


@pytest.mark.parametrize("value", [b"sk-1", b"~!" * 8192])
def test_what_a_header_can_hold_is_given_as_it_is(value: bytes) -> None:
    assert header_text("a", credential(value)) == value.decode()


@pytest.mark.parametrize("value", [b"k" * (16 * 1024 + 1), b"k k", b"k\n", b"k\xff", b""])
def test_what_it_cannot_is_refused(value: bytes) -> None:
    with pytest.raises(BackendUnavailable) as caught:
        header_text("a", credential(value))
    assert "k k" not in caught.value.message
    assert len(caught.value.message) < 100
