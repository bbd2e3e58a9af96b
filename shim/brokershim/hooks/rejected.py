"""Which keys does a provider's answer refuse, and what is the daemon told?

401 and 403 may mean that the key is no longer good. AWS answers 403 to whatever its credentials may
not do, and says in its error's name where it is they that are over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from brokershim.awskeys import are_over
from brokershim.held import Held
from brokershim.holder import Holder

_UNAUTHORIZED = (401, 403)
_FIRST_ERROR = 400
_ERROR_TYPE = "x-amzn-errortype"


def refused_of(response: Any, leases: Mapping[str, Held]) -> list[Held]:
    """Return the leases whose keys an answer of httpx refuses.

    Args:
        response: A response whose body was read where it tells of an error; anything else, such
            as an exception, refuses none.
        leases: Those of the request by their secrets' names.
    """
    status = getattr(response, "status_code", 0)
    if status < _FIRST_ERROR:
        return []
    error_type = response.headers.get(_ERROR_TYPE, "").encode("latin-1")
    body = b"".join(response.stream)
    return refused(status, error_type, body, leases.values())


def refused(status: int, error_type: bytes, body: bytes, leases: Iterable[Held]) -> list[Held]:
    """Return those of some leases whose keys an answer refuses.

    Args:
        status: Its status.
        error_type: Its header ``x-amzn-errortype``; empty where it has none.
        body: Its body.
        leases: Those that it was sent with.
    """
    unauthorized = status in _UNAUTHORIZED
    over = are_over(status, error_type, body)
    return [lease for lease in leases if (over if lease.delivery.signs else unauthorized)]


def report(holder: Holder, leases: Iterable[Held], status: int) -> None:
    """Tell the daemon which keys were refused; raises as `Holder.report`."""
    for lease in leases:
        # Of AWS also 400, which means no more and no less.
        holder.report(lease, status if status in _UNAUTHORIZED else _UNAUTHORIZED[1])
