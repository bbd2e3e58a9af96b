"""Who is logged in to a Vault, as its own OIDC names them?"""

from __future__ import annotations

import logging
import threading
from typing import Any

from brokerd.backends.keeper import Keeper
from brokerd.backends.reply import part, text
from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.faults import translated
from brokerd.backends.vault.login.base import Auth
from brokerd.backends.vault.login.browsing import BrowserLogin, Door
from brokerd.backends.vault.login.kept import Kept
from brokerd.backends.vault.login.lookup import lookup
from brokerd.identities.base import Login, Mode, Standing
from brokerd.identities.oidc import ways
from brokerd.identities.oidc.clocks import Clocks
from brokerd.identities.oidc.standing import of_left
from brokerd.identities.oidc.turn import Turn
from brokerd.identities.reasons import reason_of
from brokershim.errors import (
    BackendRefused,
    BrokerError,
    IdentityUnavailable,
    KeyringUnavailable,
    LoginRequired,
    ServerDown,
)

_LONGEST_NAME = 200
_log = logging.getLogger(__name__)


class Person:
    """A person's login at a Vault: what `brokerctl login` and `logout` go to.

    Its token is kept in the keyring, so that a daemon that is started anew goes on with it.

    Attributes:
        revision: Changes with every login and its end.

    Args:
        vault: Where; its name is the account's.
        door: Where in it.
        keeper: Where the login stands.
        clocks: What time it is.
    """

    kind = "vault"

    def __init__(self, vault: Vault, door: Door, keeper: Keeper[Kept], clocks: Clocks) -> None:
        self.name, self.revision = vault.name, 0
        self._vault, self._door, self._keeper, self._clocks = vault, door, keeper, clocks
        self._address = vault.servers.addresses[0]
        self._lock = threading.Lock()
        self._turn = Turn(vault.name, clocks)
        self._ends_at: float | None = None  # once it is known that it cannot be renewed any more

    def standing(self) -> Standing:
        """Return how the login stands, without asking the server."""
        try:
            kept, ends_at = self._keeper.load(), self._ends_at
        except KeyringUnavailable as error:
            return Standing("failed", self._address, reason=reason_of(error))
        if kept is None:
            return Standing("login", self._address, reason="nobody is logged in")
        if ends_at is not None:
            left = ends_at - self._clocks.boot()
        elif kept.renewable:
            return Standing("ready", self._address, kept.shown)
        else:
            left = kept.until - self._clocks.wall()
        return of_left(self._address, kept.shown, left, kept.life)

    def login(self, mode: Mode) -> Login:
        """Begin a login.

        Raises:
            LoginUnderWay: One has begun, and is not over.
            KeyringUnavailable: The keyring could not keep it.
            IdentityUnavailable: It is to be without a browser on this machine.
            BrokerError: As `BrowserLogin`.
        """
        if mode == "device":
            raise IdentityUnavailable(
                f"{self.name} offers no login with a code",
                hint="log in with a browser that can reach this machine",
            )
        self._keeper.load()  # before a person takes the trouble
        return self._turn.take(lambda over: BrowserLogin(self._vault, self._door, self.take, over))

    def logout(self) -> None:
        """Forget the login, here first and then at the server.

        Raises:
            KeyringUnavailable: The keyring refuses.
            ServerDown: The server could not be told; here it is forgotten all the same.
        """
        with self._lock:
            kept = self._keeper.load()
            self._keeper.drop()
            self._changed()
        if kept is not None and kept.accessor:
            self._end(kept.token, looks=kept.looks)

    def take(self, auth: Auth, given_up: threading.Event) -> Standing:
        """Take in what a login brought; whoever was logged in before is not any more.

        Raises:
            LoginRefused: It was given up meanwhile.
            KeyringUnavailable: The keyring does not keep it.
            BrokerError: What the server says.
        """
        try:
            kept = self._kept(auth)
            with self._lock:
                if given_up.is_set():
                    raise ways.given_up()
                before = self._keeper.load()
                self._keeper.save(kept)
                self._changed()
        except BrokerError:
            self._leave(auth.token, auth.accessor)
            raise
        if before is not None:
            self._leave(before.token, before.accessor)
        return self.standing()

    def current(self) -> Kept:
        """Return the login.

        Raises:
            LoginRequired: There is none.
            KeyringUnavailable: The keyring refuses.
        """
        kept = self._keeper.load()
        if kept is None:
            raise self.required("nobody is logged in to")
        return kept

    def forget(self, kept: Kept) -> None:
        """Forget a login that is over, unless a newer one has taken its place."""
        with self._lock:
            if self._keeper.load() == kept:
                self._keeper.drop()
                self._changed()

    def ends(self, ends_at: float | None) -> None:
        """Take in when the login ends for good, in seconds of the boot clock; None if not known."""
        self._ends_at = ends_at

    def required(self, why: str) -> LoginRequired:
        """Return the error that says that a person has to log in."""
        return LoginRequired(
            f"{why} {self.name} ({self._address})",
            hint=f"run `brokerctl login {self.name}` in a terminal",
        )

    def _changed(self) -> None:
        self._ends_at = None
        self.revision += 1

    def _kept(self, auth: Auth) -> Kept:
        known = self._looked_up(auth.token)
        # The server says "oidc-ada@example.com", by the mount's name.
        mount = self._door.mount.replace("/", "-")
        shown = _one_line(text(known, "display_name").removeprefix(f"{mount}-"), auth.token)
        left = 0.0 if auth.expires_at is None else auth.expires_at - self._clocks.boot()
        return Kept(
            token=auth.token,
            accessor=auth.accessor or "",
            shown=shown or f"role {self._door.role}",
            until=self._clocks.wall() + left,
            life=auth.ttl,
            renewable=auth.renewable,
            looks=bool(known),
        )

    def _looked_up(self, token: str) -> dict[str, Any]:
        """Return what the server knows of a token; nothing, where that may not look at itself."""
        return part(lookup(self._vault, token), "data")

    def _leave(self, token: str, accessor: str | None) -> None:
        """End a login that came to nothing, or that another follows, as far as that can be done."""
        if not accessor:
            return
        try:
            self._end(token, looks=True)
        except BrokerError as error:
            _log.warning("a login that is not used any more is not ended: %s", error.message)

    def _end(self, token: str, *, looks: bool) -> None:
        """Revoke a token; one that the server does not know any more is no error.

        Args:
            token: The token.
            looks: Whether it may look itself up, and so tell whether the server knows it.
        """
        refused = False
        try:
            with translated("revoking the login's token"):
                self._vault.client(token).auth.token.revoke_self()
        except BackendRefused:
            refused = True
        if refused and (not looks or self._looked_up(token)):
            raise ServerDown(
                f"{self.name} does not take the login back",
                hint="let its policy update auth/token/revoke-self",
            )


def _one_line(name: str, token: str) -> str:
    """Return a name for people on one line; a server may put there whatever it was sent."""
    visible = "".join(each if each.isprintable() else " " for each in name.replace(token, "…"))
    return " ".join(visible.split())[:_LONGEST_NAME]
