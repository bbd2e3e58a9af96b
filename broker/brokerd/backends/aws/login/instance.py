"""How does a virtual machine of AWS have its role's credentials? (EC2 User Guide, IMDSv2.)"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.login.machine import ask, keys_of, text_of
from brokerd.backends.aws.settings import INSTANCE
from brokerd.identities.base import Identity
from brokerd.table import Table
from brokershim import clock

_ROLES = "/latest/meta-data/iam/security-credentials/"
_TOKEN_SECONDS = "60"  # noqa: S105 - how long the token lives; the two requests after it need it
_HINT = (
    "is this an instance of EC2 with a role? in a container, IMDSv2 also needs a hop limit of 2 "
    "(`aws ec2 modify-instance-metadata-options --http-put-response-hop-limit 2`)"
)


@dataclass(frozen=True)
class Instance:
    """Asks the instance's metadata service, version 2, and never version 1.

    A version 1 answers any GET, and so one that an app is tricked into.

    Attributes:
        address: Of that service.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    address: str = INSTANCE
    now: Callable[[], float] = clock.now
    kind: str = "instance"

    def revision(self) -> Hashable:
        """Return a constant: it is this machine."""
        return ()

    def keys(self) -> Keys:
        """Return the role's credentials; raises as `Source.keys`."""
        what = "asking this instance for its role"
        given = {"x-aws-ec2-metadata-token-ttl-seconds": _TOKEN_SECONDS}
        get = partial(ask, what, hint=_HINT)
        token = text_of(what, get("PUT", f"{self.address}/latest/api/token", given))
        proof = {"x-aws-ec2-metadata-token": token}
        role = text_of(what, get("GET", self.address + _ROLES, proof))
        found = get("GET", self.address + _ROLES + quote(role, safe=""), proof)
        return keys_of(f"credentials of this instance's role {role}", found, self.now)


def build(
    name: str,  # noqa: ARG001 - as of every login
    table: Table,  # noqa: ARG001
    identities: Mapping[str, Identity],  # noqa: ARG001
    clients: Clients,
) -> Instance:
    """Return the login that a table with ``login = "instance"`` describes."""
    return Instance(clients.settings.endpoints.get("imds", INSTANCE))
