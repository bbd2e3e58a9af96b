"""How does a workload's SPIFFE identity become an identity? As a JWT-SVID of the Workload API.

Sources: SPIFFE, "The SPIFFE Workload API" and "The SPIFFE JWT-SVID".
"""

from __future__ import annotations

import importlib.util
import os
import re
import stat
from collections.abc import Hashable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from brokerd.identities import apart
from brokerd.identities.base import Identity, Standing, Token
from brokerd.identities.jwt import CLOCKS, Clocks, token_of
from brokerd.identities.reasons import reason_of
from brokerd.table import Table
from brokershim.errors import (
    BackendTimeout,
    BrokerError,
    ClockSkew,
    ConfigError,
    IdentityExpired,
    IdentityUnavailable,
    ServerDown,
)

if TYPE_CHECKING:
    from spiffe.errors import PySpiffeError

_CALL_SECONDS = 10.0
_ID = re.compile(r"spiffe://[a-z0-9._-]+(?:/[A-Za-z0-9._-]+)+")
_NONE_FOR_US = "register this user or program at the SPIFFE server"
_API = "the SPIFFE Workload API"


def build(name: str, table: Table) -> Identity:
    """Return the identity that a table ``kind = "spiffe"`` describes.

    Raises:
        ConfigError: Its ``socket`` or ``spiffe_id`` is none, or the SPIFFE library is missing.
    """
    socket, spiffe_id = table.text("socket"), table.optional_text("spiffe_id")
    parts = urlsplit(socket)
    if not socket.startswith("unix:///") or parts.query or parts.fragment:
        raise table.error("socket is not like unix:///run/spire/agent.sock")
    if spiffe_id is not None and not _ID.fullmatch(spiffe_id):
        raise table.error("spiffe_id is not like spiffe://example.org/app")
    if importlib.util.find_spec("spiffe") is None:
        raise ConfigError(
            f"{table.path}: {table.name}: the SPIFFE library is missing",
            hint="install `brokerctl[spiffe]` in place of `brokerctl`",
        )
    return Workload(name, parts.path, spiffe_id)


def ask(path: str, audience: str, spiffe_id: str) -> str:
    """Return a JWT-SVID for an audience; for the process apart.

    Args:
        path: The socket of the Workload API.
        audience: Its ``aud``.
        spiffe_id: Which of several identities; empty for the first.

    Raises:
        IdentityUnavailable: There is none for this process, or nothing answers.
        BackendTimeout: No answer in time.
        ClockSkew: What was made just now is over already.
        ServerDown: The Workload API fails.
    """
    from spiffe import SpiffeId, WorkloadApiClient
    from spiffe.errors import PySpiffeError

    try:
        subject = SpiffeId(spiffe_id) if spiffe_id else None
        with WorkloadApiClient(f"unix://{path}", default_timeout=_CALL_SECONDS) as client:
            return client.fetch_jwt_svid({audience}, subject).token
    except PySpiffeError as error:
        raise _translated(error) from None


def _translated(error: PySpiffeError) -> BrokerError:
    """Return our error; not one word of theirs, which may repeat what the server said."""
    import grpc
    from spiffe.svid.errors import TokenExpiredError

    cause = error.__cause__
    if isinstance(cause, TokenExpiredError):
        return ClockSkew("the JWT-SVID that was made just now is over already")
    if not isinstance(cause, grpc.Call):
        return ServerDown(f"{_API} answers what is no JWT-SVID")
    code = cause.code()
    if code is grpc.StatusCode.PERMISSION_DENIED:
        return IdentityUnavailable(f"{_API} has no such identity for us", hint=_NONE_FOR_US)
    if code is grpc.StatusCode.UNAVAILABLE:
        return IdentityUnavailable(f"{_API} does not answer", hint="is its agent running?")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return BackendTimeout(f"{_API} did not answer in {_CALL_SECONDS:.0f} s")
    return ServerDown(f"{_API} fails with {code.name}")


class Workload:
    """A workload that a SPIFFE agent on this machine knows.

    Args:
        name: The identity's name.
        path: The socket of the Workload API, absolute.
        spiffe_id: Who it has to be; None for whoever the agent says.
        clocks: What time it is.
    """

    kind = "spiffe"

    def __init__(
        self, name: str, path: str, spiffe_id: str | None, clocks: Clocks = CLOCKS
    ) -> None:
        self.name = name
        self._path, self._spiffe_id, self._clocks = path, spiffe_id, clocks
        self._subject = spiffe_id or ""

    def revision(self) -> Hashable:
        """Return a constant: only the agent could tell, and it would have to be asked."""
        return None

    def token(self, audience: str | None) -> Token:
        """Return a JWT-SVID; see `Identity.token`. It needs an audience."""
        if audience is None:
            raise IdentityUnavailable(
                f"{self.name} needs to be told an audience", hint="set `audience` in config.toml"
            )
        self._check_socket()
        wanted = self._spiffe_id or ""
        request = {"path": self._path, "audience": audience, "spiffe_id": wanted}
        found = self._checked(apart.ask("spiffe", request, _API), audience)
        if wanted and found.subject != wanted:
            raise IdentityUnavailable(f"{_API} names us {found.subject}, and not {wanted}")
        self._subject = found.subject
        return found

    def standing(self) -> Standing:
        """Return whether there is an agent, and whom it named before."""
        try:
            self._check_socket()
        except IdentityUnavailable as error:
            return Standing("absent", reason=reason_of(error))
        return Standing("ready", issuer=f"unix://{self._path}", subject=self._subject)

    def _check_socket(self) -> None:
        try:
            is_socket = stat.S_ISSOCK(os.stat(self._path).st_mode)
        except OSError:
            is_socket = False
        if not is_socket:
            raise IdentityUnavailable(
                f"there is no socket {self._path}", hint="is the SPIFFE agent running?"
            )

    def _checked(self, text: str, audience: str) -> Token:
        try:
            return token_of(text, "the JWT-SVID", audience, self._clocks)
        except IdentityExpired as error:
            raise ClockSkew(f"{error.message}, and it was made just now") from None
