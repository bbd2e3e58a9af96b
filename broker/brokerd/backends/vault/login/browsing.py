"""How does a person log in to Vault with the browser of this machine?

Vault asks the OpenID provider itself, and has the browser sent here; see "JWT/OIDC auth method
(API)", `oidc/auth_url` and `oidc/callback`. What comes back is worth nothing without our nonce.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Event
from urllib.parse import parse_qs, urlsplit

from brokerd.backends.reply import part, text
from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login import proof
from brokerd.backends.vault.login.base import Auth
from brokerd.http import check_url
from brokerd.identities.base import Standing
from brokerd.identities.oidc import ways
from brokerd.identities.oidc.course import LOGIN_SECONDS, Course
from brokerd.identities.oidc.loopback import Loopback
from brokershim.errors import (
    BackendRefused,
    ConfigError,
    IdentityUnavailable,
    LoginRefused,
    ServerDown,
)

_HOST, _PATH = "localhost", "/oidc/callback"
"""As Vault's own command line has it, so that roles and providers know it already."""
_RANDOM_BYTES = 32
Take = Callable[[Auth, Event], Standing]
"""Takes in what a login brought, and whether it was given up meanwhile."""


@dataclass(frozen=True)
class Door:
    """Where at a Vault a person logs in.

    Attributes:
        mount: Of the auth method, below ``auth/``.
        role: Which of its roles; the one that it has as its default, if None.
        port: Where on this machine the browser is sent back to.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    mount: str
    role: str | None
    port: int
    now: Callable[[], float]


class BrowserLogin:
    """One login that waits for a browser to come back.

    Args:
        vault: Where.
        door: Where in it.
        take: Takes in what the login brings.
        over: Called once, when it is over.

    Raises:
        IdentityUnavailable: Something else listens on the port.
        BackendRefused: There is no such auth method or role, or it does not know the address that
            the browser is to come back to.
        ServerDown: It cannot be reached, or sends people where nobody should go.
    """

    user_code: str | None = None
    seconds = LOGIN_SECONDS

    def __init__(self, vault: Vault, door: Door, take: Take, over: Callable[[], None]) -> None:
        self._vault, self._door, self._take = vault, door, take
        self._nonce = secrets.token_urlsafe(_RANDOM_BYTES)
        loopback = _listen(door.port)
        with ExitStack() as stack:
            stack.callback(loopback.close)
            self._redirect = f"http://{loopback.authority}{_PATH}"
            self.url = self._begun()
            self._state = self._state_in(self.url)
            issuer = vault.servers.addresses[0]
            self._course = Course(loopback, _PATH, self._state, issuer, self._redeem, over)
            stack.pop_all()

    def run(self) -> Standing:
        """Wait until the browser has come back. Raises as `Login.run`."""
        return self._course.run(self.seconds)

    def cancel(self) -> None:
        """Give it up."""
        self._course.cancel()

    def _begun(self) -> str:
        """Return where the person goes on."""
        role = {} if self._door.role is None else {"role": self._door.role}
        asked = {**role, "redirect_uri": self._redirect, "client_nonce": self._nonce}
        mount = self._door.mount
        answer = proof.asked(
            self._vault,
            mount,
            lambda client: client.write_data(f"auth/{mount}/oidc/auth_url", data=asked),
            f"see that auth/{mount} is one of the kind oidc, and has that role",
        )
        url = text(part(answer, "data"), "auth_url")
        if not url:  # which is how it refuses an address
            raise BackendRefused(
                f"{self._role} of {self._vault.name} does not let a browser come back to "
                f"{self._redirect}",
                hint="name that in its allowed_redirect_uris, and at the provider",
            )
        return url

    def _state_in(self, url: str) -> str:
        """Return what the browser has to bring back, which the server has chosen."""
        try:
            check_url("where it sends people", url)
        except ConfigError as error:
            fault = error.message
        else:
            found = parse_qs(urlsplit(url).query).get("state", [""])
            if found[0]:
                return found[0]
            fault = "where it sends people has no state"
        raise ServerDown(f"{self._vault.name}: {fault}")

    def _redeem(self, query: Mapping[str, str]) -> Standing:
        """Turn the code into a login; in a thread, since it asks the server."""
        code = ways.code_in(query)
        try:
            auth = self._proven(code)
        except BackendRefused as error:
            refusal = LoginRefused(error.message, hint=error.hint)
        else:
            return self._take(auth, self._course.given_up)
        raise refusal

    def _proven(self, code: str) -> Auth:
        """Return the token that a code brings. Raises as `proof.prove`."""
        mount = self._door.mount
        brought = {"state": self._state, "code": code, "client_nonce": self._nonce}
        return proof.prove(
            self._vault,
            mount,
            # Never a second time: the server takes a state once.
            lambda _: self._vault.client(once=True).adapter.get(
                f"/v1/auth/{mount}/oidc/callback", params=brought
            ),
            f"see whom {self._role} of auth/{mount} is for: its bound claims and audiences",
            self._door.now,
        )

    @property
    def _role(self) -> str:
        return "the default role" if self._door.role is None else f"role {self._door.role}"


def _listen(port: int) -> Loopback:
    try:
        return Loopback(port, _HOST)
    except OSError as error:
        reason = error.strerror
    raise IdentityUnavailable(
        f"the browser cannot come back to port {port} of this machine: {reason}",
        hint="end what listens there, or name another callback_port in config.toml, which the "
        "role and the provider have to know",
    )
