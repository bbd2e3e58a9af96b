"""What is an identity of kind oidc? A login at an OpenID provider, and what it yields."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from brokerd.identities.base import Login, Mode, Standing, Token
from brokerd.identities.oidc import settings
from brokerd.identities.oidc.browser import BrowserLogin
from brokerd.identities.oidc.clocks import Clocks
from brokerd.identities.oidc.device import DeviceLogin
from brokerd.identities.oidc.giving_back import give_back
from brokerd.identities.oidc.keeping import Keeper, keeper
from brokerd.identities.oidc.provider import Provider
from brokerd.identities.oidc.session import Session
from brokerd.identities.oidc.settings import Settings
from brokerd.identities.oidc.turn import Turn
from brokerd.identities.oidc.verify import Verifier
from brokerd.table import Table


def build(name: str, table: Table) -> OidcIdentity:
    """Return the identity that a table describes; it asks nobody yet.

    Raises:
        ConfigError: The table describes none.
    """
    found = settings.read(name, table)
    return OidcIdentity(found, keeper(found), Clocks())


class OidcIdentity:
    """A person, as an OpenID provider names them.

    Args:
        settings: Who the provider is, and who we are to it.
        keeper: Where the login stands.
        clocks: What time it is.
    """

    kind = "oidc"

    def __init__(self, settings: Settings, keeper: Keeper, clocks: Clocks) -> None:
        self.name = settings.name
        self._settings, self._keeper, self._clocks = settings, keeper, clocks
        self._provider = Provider(settings.issuer, clocks)
        verifier = Verifier(settings, self._provider, clocks)
        self._session = Session(settings, self._provider, verifier, keeper, clocks)
        self._turn = Turn(settings.name, clocks)

    def revision(self) -> Hashable:
        """Return what changes with every login and its end."""
        return self._session.revision

    def token(self, audience: str | None) -> Token:
        """Return an ID token, or an access token for another audience.

        Each is fresh, as who uses it may spend its ``jti``.

        Args:
            audience: None, or the client's own id, for an ID token; otherwise the resource
                (RFC 8707) that an access token (RFC 9068) is for.

        Raises:
            LoginRequired: A person has to log in first.
            IdentityUnavailable: The provider gives no such token.
            KeyringUnavailable: The keyring refuses.
            ClockSkew: This machine's clock is off.
            ServerDown: The provider cannot be reached, or answers what it must not.
        """
        return self._session.token(None if audience == self._settings.client_id else audience)

    def standing(self) -> Standing:
        """Return how the login stands, without asking the provider."""
        return self._session.standing()

    def login(self, mode: Mode) -> Login:
        """Begin a login.

        Raises:
            LoginUnderWay: One has begun, and is not over.
            KeyringUnavailable: The keyring could not keep it.
            IdentityUnavailable: The provider does not offer this way.
            ServerDown: The provider cannot be reached.
        """
        self._keeper.load()  # before a person takes the trouble
        return self._turn.take(lambda over: self._begin(mode, over))

    def logout(self) -> None:
        """Forget the login, here first and then at the provider.

        Raises:
            KeyringUnavailable: The keyring refuses.
            ServerDown: The provider could not be told; here it is forgotten all the same.
        """
        refresh_token = self._session.end()
        if refresh_token is not None:
            give_back(self._provider, self._settings.client_id, refresh_token)

    def _begin(self, mode: Mode, over: Callable[[], None]) -> Login:
        found, begin = self._provider.metadata(), self._session.begin
        if mode == "browser":
            return BrowserLogin(self._settings, found, begin, over)
        return DeviceLogin(self._settings, found, begin, over, self._clocks)
