"""What does a standing say of an error? (Pure.)"""

from __future__ import annotations

from brokershim.errors import BrokerError


def reason_of(error: BrokerError) -> str:
    """Return what is wrong and what to do next: a `Standing` has no hint beside its reason."""
    return f"{error.message}; {error.hint}"
