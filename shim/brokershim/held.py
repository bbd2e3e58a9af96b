"""What is one lease, once this process holds it?"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from brokershim.awskeys import keys_of
from brokershim.delivery import Delivery, delivery_of
from brokershim.errors import BackendUnavailable, BrokerError, MalformedRequest
from brokershim.reference import is_key
from brokershim.scrub import Scrubber

_RENEW_AFTER = 2 / 3
"""The part of a lease's life after which it is renewed."""
_TERM = {"version": str, "expires_in": (int, float), "floor": (int, float)}
_LEASE = {**_TERM, "lease": str, "value": str, "hosts": list}


@dataclass(frozen=True)
class Held:
    """One lease of this process. Its repr shows no key.

    Attributes:
        name: The secret's name.
        value: The key.
        scrubber: Knows the texts that give the key away.
        lease: The daemon's id of the lease.
        hosts: Where the key may be sent.
        delivery: How the key stands in a request.
        version: Which version of the secret the key is.
        floor: Seconds of life below which no request is begun with it.
        deadline: When it ends, in seconds of `brokershim.clock`.
        renew_at: When it is to be renewed: never later than ``deadline - floor``.
    """

    name: str
    value: str = field(repr=False)
    scrubber: Scrubber = field(repr=False)
    lease: str
    hosts: tuple[str, ...]
    delivery: Delivery
    version: str
    floor: float
    deadline: float
    renew_at: float

    def may_begin(self, now: float) -> bool:
        """Return whether there is life enough left to begin a request."""
        return now <= self.deadline - self.floor

    def renewed(self, reply: dict[str, Any], sent: float) -> Held | None:
        """Return this lease with its new term; None if the secret has another version by now.

        Args:
            reply: The daemon's reply to lease.renew.
            sent: When it was asked for. Life is counted from then, not from the reply, since
                nobody knows when in between the daemon began to count.

        Raises:
            MalformedRequest: The reply is not one to lease.renew.
        """
        if not _has(reply, _TERM):
            raise MalformedRequest("the daemon's reply does not describe a lease")
        if reply["version"] != self.version:
            return None
        floor, deadline, renew_at = _term(reply, sent)
        return replace(self, floor=floor, deadline=deadline, renew_at=renew_at)


def held(name: str, reply: dict[str, Any], sent: float) -> Held:
    """Return the lease that the daemon's reply to lease.acquire gives.

    Args:
        name: The secret's name.
        reply: The reply; emptied where an error is raised.
        sent: When it was asked for.

    Raises:
        MalformedRequest: The reply is not one to lease.acquire.
        BackendUnavailable: The key cannot be sent in a header, or cannot sign.
    """
    try:
        _check(name, reply)
        delivery = delivery_of(reply.get("delivery"))
        scrubber = _scrubber(name, reply["value"], signs=delivery.signs)
    except BrokerError:
        reply.clear()  # the error's traceback holds this frame, and the frame the reply
        raise
    floor, deadline, renew_at = _term(reply, sent)
    return Held(
        name=name,
        value=reply["value"],
        scrubber=scrubber,
        lease=reply["lease"],
        hosts=tuple(map(str, reply["hosts"])),
        delivery=delivery,
        version=reply["version"],
        floor=floor,
        deadline=deadline,
        renew_at=renew_at,
    )


def _scrubber(name: str, value: str, *, signs: bool) -> Scrubber:
    """Return what knows a key: of credentials that sign, each part, since AWS repeats those."""
    parts = keys_of(name, value) if signs else (value,)
    return Scrubber({}, [Scrubber({name: part}) for part in parts])


def _term(reply: dict[str, Any], sent: float) -> tuple[float, float, float]:
    """Return the floor, the deadline and the time of renewal."""
    life, floor = float(reply["expires_in"]), float(reply["floor"])
    return floor, sent + life, sent + min(life * _RENEW_AFTER, life - floor)


def _check(name: str, reply: dict[str, Any]) -> None:
    if not _has(reply, _LEASE):
        raise MalformedRequest("the daemon's reply does not describe a lease")
    if not is_key(reply["value"]):
        raise BackendUnavailable(
            f"the value of {name} cannot stand in a header",
            hint=f"store it again without spaces or line breaks: `brokerctl secret set {name}`",
        )


def _has(reply: dict[str, Any], shape: dict[str, Any]) -> bool:
    return all(isinstance(reply.get(key), kind) for key, kind in shape.items())
