"""How does a container have its role's credentials: a task of ECS, a pod of EKS?

Source: AWS SDKs and Tools Reference Guide, "Container credential provider"; EKS User Guide, "EKS
Pod Identity". The platform names the service in variables of the daemon's environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.login.machine import ask, keys_of
from brokerd.identities.base import Identity
from brokerd.identities.tokenfile import read_mounted
from brokerd.table import Table
from brokershim import clock
from brokershim.errors import BackendRefused, IdentityUnavailable
from brokershim.hosts import is_loopback

_ECS = "http://169.254.170.2"
_RELATIVE = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
_FULL = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN"  # noqa: S105 - the variable's name
_TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"  # noqa: S105
_HOSTS = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
_HINTS = {
    "ecs": "is this a task of ECS with a task role? the daemon has to have been started in it, "
    "with its environment",
    "pod-identity": "is this a pod of EKS whose service account has a Pod Identity association? "
    "the daemon has to have been started in it, with its environment",
}


@dataclass(frozen=True)
class Container:
    """Asks the service that the platform runs beside the container.

    Attributes:
        kind: ``ecs`` or ``pod-identity``.
        environ: The daemon's environment.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    kind: str
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    now: Callable[[], float] = clock.now

    def revision(self) -> Hashable:
        """Return a constant: it is this container."""
        return ()

    def keys(self) -> Keys:
        """Return the role's credentials; raises as `Source.keys`, and `InsecurePath`."""
        what, url = f"credentials of this container's role ({self.kind})", self._url()
        answer = ask(what, "GET", url, self._proof(), _HINTS[self.kind])
        return keys_of(what, answer, self.now)

    def _url(self) -> str:
        relative = self.environ.get(_RELATIVE) if self.kind == "ecs" else None
        if relative is not None and not relative.startswith("/"):
            raise BackendRefused(f"{_RELATIVE} is no path")  # "@evil" would name another host
        full = _ECS + relative if relative else self.environ.get(_FULL)
        if not full:
            needed = f"{_RELATIVE} or {_FULL}" if self.kind == "ecs" else _FULL
            raise IdentityUnavailable(f"there is no {needed}", hint=_HINTS[self.kind])
        return _checked(full)

    def _proof(self) -> dict[str, str]:
        """Return the header that proves which container it is, where the platform gave one.

        The file is read anew each time, as the platform renews it.
        """
        path = self.environ.get(_TOKEN_FILE)
        token = read_mounted(path) if path else self.environ.get(_TOKEN, "")
        if self.kind == "pod-identity" and not token:
            raise IdentityUnavailable(f"there is no {_TOKEN_FILE}", hint=_HINTS[self.kind])
        return {"authorization": token} if token else {}


def _checked(url: str) -> str:
    """Return a URL where it is on this machine: anyone else would be asked in clear."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    visible = url.isascii() and url.isprintable() and " " not in url
    ours = host in _HOSTS or is_loopback(host)
    if not visible or parts.scheme != "http" or parts.username is not None or not ours:
        raise BackendRefused(
            f"{_FULL} does not name the service of a container on this machine",
            hint="it is http, at 169.254.170.2, 169.254.170.23, [fd00:ec2::23] or this machine",
        )
    return url


def build(
    name: str,  # noqa: ARG001 - as of every login
    table: Table,
    identities: Mapping[str, Identity],  # noqa: ARG001
    clients: Clients,  # noqa: ARG001
) -> Container:
    """Return the login that ``login = "ecs"`` or ``login = "pod-identity"`` describes."""
    return Container(table.text("login"))
