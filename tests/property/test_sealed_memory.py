"""What is sealed in memory opens unchanged, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokerd.sealed import Sealed, Sealer
from brokershim.errors import BrokerError

SEALER = Sealer()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=20), st.data())
def test_what_is_sealed_in_memory_opens_unchanged_or_not_at_all(
    value: bytes, context: bytes, data: Any
) -> None:
    sealed = SEALER.seal(value, context)
    assert SEALER.open(sealed, context) == value
    at = data.draw(st.integers(0, len(sealed.ciphertext) * 8 - 1))
    changed = bytearray(sealed.ciphertext)
    changed[at // 8] ^= 1 << at % 8
    with pytest.raises(BrokerError):
        SEALER.open(Sealed(sealed.nonce, bytes(changed)), context)
    with pytest.raises(BrokerError):
        SEALER.open(sealed, context + b"x")
