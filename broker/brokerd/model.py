"""What are the nouns that the daemon's parts hand to one another? (Pure.)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class BoundedBy(StrEnum):
    """What ends a lease's key: the honest part of a lease."""

    PROVIDER = "provider"
    """The key itself dies."""
    BACKEND = "backend"
    """The secret store revokes or expires it."""
    BROKER = "broker"
    """A static key: the broker stops serving it, but a copy would still work."""


@dataclass(frozen=True)
class Delivery:
    """How a key stands in a request.

    Attributes:
        bearer: Whether it goes out as ``Authorization: Bearer`` (RFC 6750) where the app puts its
            reference, and nothing else, into one of the headers that SDKs have for a key; put
            anywhere else, it is refused. Otherwise the key stands where the reference stood.
        headers: More headers of a request that carries it, by name in lower case; where the
            request has one of that name, the value is added to its list.
        signs: Whether it is credentials of AWS, which sign a request and stand in none: its value
            is what the AWS CLI's ``credential_process`` prints.
    """

    bearer: bool = False
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    signs: bool = False


@dataclass(frozen=True)
class Secret:
    """A secret's description, never its value.

    Attributes:
        name: Such as ``openai/dev``; see `brokershim.reference`.
        provider: Such as ``openai``, or empty where none is known.
        hosts: Hosts that the key may be sent to, in lower case; one with a port is meant
            with that port only.
        backend: The backend that holds it, by its configured name.
        max_ttl: The longest lease, in seconds.
        version: The newest version, as the backend names it; empty where only a fetch tells it.
        bounded_by: What ends a lease of it.
        delivery: How its key stands in a request.
    """

    name: str
    provider: str
    hosts: tuple[str, ...]
    backend: str
    max_ttl: float
    version: str
    bounded_by: BoundedBy
    delivery: Delivery = Delivery()


@dataclass(frozen=True)
class Whom:
    """For whom a key is made, so that the records of who makes it can name them.

    Attributes:
        session: The session's id.
        pid: The process that asked.
        program: Path of the program that the session runs.
        project: Folder of the project that it runs in; empty where there is none.
    """

    session: str
    pid: int
    program: str
    project: str


@dataclass(frozen=True)
class Credential:
    """A key as a backend hands it over. Its repr shows no key.

    Attributes:
        value: The key.
        version: Which version of the secret this is, as the backend names it.
        bounded_by: What ends it.
        expires_at: When the key itself dies, in seconds of `brokershim.clock.now`; None if never.
        upstream: The backend's id of what to revoke when the lease ends; None if nothing.
        refresh_at: When a newer one is to be fetched, in the same seconds, while this one is
            still served; None if never.
        floor: Seconds of life below which it is not handed out any more.
        max_staleness: How many seconds a static key is served after its backend was last heard
            to have no other; None where it need not be heard.
        lease: The lease that it was made for alone; None where leases share it.
    """

    value: bytes = field(repr=False)
    version: str
    bounded_by: BoundedBy
    expires_at: float | None = None
    upstream: str | None = None
    refresh_at: float | None = None
    floor: float = 30.0
    max_staleness: float | None = None
    lease: str | None = None
