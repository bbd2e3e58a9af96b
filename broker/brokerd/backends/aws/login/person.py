"""Who is logged in at IAM Identity Center, and how do they stay so?"""

from __future__ import annotations

import threading
from dataclasses import replace

from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.login.device import DeviceLogin
from brokerd.backends.aws.login.granted import Registered, Tokens
from brokerd.backends.aws.login.kept import Kept
from brokerd.backends.aws.login.portal import Portal
from brokerd.backends.aws.login.role import AccountRole
from brokerd.backends.keeper import Keeper
from brokerd.identities.base import Login, Mode, Standing
from brokerd.identities.oidc import ways
from brokerd.identities.oidc.clocks import Clocks
from brokerd.identities.oidc.standing import of_left
from brokerd.identities.oidc.turn import Turn
from brokerd.identities.reasons import reason_of
from brokershim.errors import (
    BackendRefused,
    KeyringUnavailable,
    LoginRefused,
    LoginRequired,
    NotFound,
)

_FLOOR_SECONDS = 60.0
"""An access token with less life than this left is refreshed before it is used."""


class Person:
    """A person's login: what `brokerctl login` and `logout` go to.

    It is kept in the keyring, so that a daemon that is started anew goes on with it.

    Attributes:
        revision: Changes with every login and its end.

    Args:
        name: The backend's, and so the account's.
        portal: Where.
        role: What they are there to us.
        keeper: Where the login stands.
        clocks: What time it is.
    """

    kind = "aws"

    def __init__(
        self,
        name: str,
        portal: Portal,
        role: AccountRole,
        keeper: Keeper[Kept],
        clocks: Clocks,
    ) -> None:
        self.name, self.revision = name, 0
        self._portal, self._role, self._keeper, self._clocks = portal, role, keeper, clocks
        self._lock, self._turn = threading.Lock(), Turn(name, clocks)
        self._unsaved: Kept | None = None  # what the keyring did not take, though the old is spent

    def standing(self) -> Standing:
        """Return how the login stands, without asking AWS."""
        where = self._portal.start_url
        try:
            kept = self._unsaved or self._keeper.load()
        except KeyringUnavailable as error:
            return Standing("failed", where, reason=reason_of(error))
        if kept is None:
            return Standing("login", where, reason="nobody is logged in")
        wall, who = self._clocks.wall(), self._role.described(kept.shown)
        if not kept.refresh_token:
            return of_left(where, who, kept.until - wall, kept.life)
        found = of_left(where, who, max(kept.client_until, kept.until) - wall, 0.0)
        # Where it is refreshed, AWS does not say when it ends; only that it is not after this.
        return replace(found, until=None) if found.state == "ready" else found

    def login(self, mode: Mode) -> Login:
        """Begin a login; there is one way, by a page and a code, whichever browser shows it.

        Raises:
            LoginUnderWay: One has begun, and is not over.
            KeyringUnavailable: The keyring could not keep it.
            BrokerError: As `DeviceLogin`.
        """
        del mode
        self._keeper.load()  # before a person takes the trouble
        return self._turn.take(
            lambda over: DeviceLogin(self._portal, self.take, over, self._clocks)
        )

    def logout(self) -> None:
        """Forget the login, here first and then at AWS.

        Raises:
            KeyringUnavailable: The keyring refuses.
            ServerDown: AWS could not be told; here it is forgotten all the same.
        """
        with self._lock:
            unsaved, self._unsaved = self._unsaved, None
            kept = unsaved or self._keeper.load()
            self._keeper.drop()
            self.revision += 1
        if kept is not None:
            self._end(kept)

    def take(self, us: Registered, tokens: Tokens, given_up: threading.Event) -> Standing:
        """Take in what a login brought; whoever was logged in before is not any more.

        Raises:
            LoginRefused: It was given up meanwhile, or is of somebody without that role.
            KeyringUnavailable: The keyring does not keep it.
            BrokerError: What AWS says.
        """
        kept = self._kept(us, tokens)
        with self._lock:
            if given_up.is_set():
                raise ways.given_up()
            # The one before is not ended at AWS: there it may be one session of the same browser.
            self._keeper.save(kept)
            self._unsaved = None
            self.revision += 1
        return self.standing()

    def keys(self) -> Keys:
        """Return credentials of the role.

        Raises:
            LoginRequired: Nobody is logged in, or the login is over.
            KeyringUnavailable: The keyring refuses.
            BrokerError: As `Portal.keys`.
        """
        with self._lock:
            kept = self._current()
        found = None if kept is None else self._given(kept)
        if found is not None:
            return found
        with self._lock:
            kept = self._current()
            if kept is None:
                raise self._required("nobody is logged in to")
            return self._refreshed(kept)

    def _current(self) -> Kept | None:
        """Return the login; what the keyring did not take before is offered to it again."""
        if self._unsaved is not None:
            self._save(self._unsaved)
        return self._keeper.load()

    def _save(self, kept: Kept) -> None:
        self._unsaved = kept
        self._keeper.save(kept)
        self._unsaved = None

    def _is_over(self, kept: Kept) -> bool:
        """Return whether its access token is over, or about to be."""
        return kept.until - self._clocks.wall() < _FLOOR_SECONDS

    def _given(self, kept: Kept) -> Keys | None:
        """Return what its access token gives; None where that is over."""
        return None if self._is_over(kept) else self._role.keys(self._portal, kept.access_token)

    def _refreshed(self, kept: Kept) -> Keys:
        """Return what a newer access token gives; where there can be none, the login is over."""
        tokens, found = self._tokens(kept), None
        if tokens is not None:
            # Before it is used: the one before may be worth nothing any more.
            self._save(self._newer(kept, tokens))
            found = self._role.keys(self._portal, tokens.access)
        if found is not None:
            return found
        self._keeper.drop()
        self.revision += 1
        raise self._required("the login is over at")

    def _tokens(self, kept: Kept) -> Tokens | None:
        """Return newer tokens; None where there can be none."""
        if not kept.refresh_token:
            return None
        us = Registered(kept.client_id, kept.client_secret, kept.client_until)
        return self._portal.refreshed(us, kept.refresh_token)

    def _end(self, kept: Kept) -> None:
        """End a login at AWS, which knows it by an access token that is good."""
        access_token = kept.access_token
        if kept.refresh_token and self._is_over(kept):
            tokens = self._tokens(kept)
            if tokens is None:
                return
            access_token = tokens.access
        self._portal.end(access_token)

    def _newer(self, kept: Kept, tokens: Tokens) -> Kept:
        until = self._clocks.wall() + tokens.life
        return replace(
            kept,
            access_token=tokens.access,
            refresh_token=tokens.refresh,
            until=until,
            life=tokens.life,
        )

    def _kept(self, us: Registered, tokens: Tokens) -> Kept:
        """Return what is kept of a login, once it has given credentials."""
        try:
            keys = self._role.keys(self._portal, tokens.access)
        except (BackendRefused, NotFound) as error:
            refused = error.message
        else:
            if keys is not None:
                return self._newer(
                    Kept(us.id, us.secret, us.until, "", 0.0, 0.0, "", self._role.who(keys)),
                    tokens,
                )
            refused = "AWS takes it for over"
        raise LoginRefused(
            f"the login gives no credentials: {refused}",
            hint="see account_id and role_name in config.toml, and which roles the page shows you",
        )

    def _required(self, why: str) -> LoginRequired:
        return LoginRequired(
            f"{why} {self.name} ({self._portal.start_url})",
            hint=f"run `brokerctl login {self.name}` in a terminal",
        )
