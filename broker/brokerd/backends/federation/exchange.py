"""How does one exchange go, from the identity's token to the provider's?"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from brokerd import http
from brokerd.backends.federation.formats import Format
from brokerd.backends.federation.granted import Granted
from brokerd.backends.federation.refusal import refused
from brokerd.backends.federation.spent import Spent
from brokerd.identities.base import Identity, Token
from brokerd.model import Credential
from brokershim import clock
from brokershim.errors import BackendTimeout, BackendUnavailable, IdentityExpired, ServerDown

_REFUSED = 400
_PAUSE = 0.5
_SPENT = Spent()
"""For the whole daemon: two backends may ask one endpoint, for one identity."""


@dataclass(frozen=True)
class Chances:
    """What no test can wait for.

    Attributes:
        now: The time, in seconds of `brokershim.clock.now`.
        share: A number between 0 and 1, another each time.
        pause: Waits for seconds.
    """

    now: Callable[[], float] = clock.now
    share: Callable[[], float] = random.random
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Exchange:
    """Asks one endpoint for tokens, in the name of one identity.

    Attributes:
        format: How it is asked.
        endpoint: Its URL.
        identity: Who asks.
        audience: What the identity's token is asked for.
        reuse: Whether its issuer's tokens are good for more than one exchange.
        chances: The clock, and the dice.
    """

    format: Format
    endpoint: str
    identity: Identity
    audience: str
    reuse: bool = False
    chances: Chances = field(default_factory=Chances)

    def make(self, fields: Mapping[str, str]) -> Credential:
        """Exchange a token of the identity that was never sent before.

        A request that the server may have taken is repeated once, and with another token.

        Args:
            fields: What is sent beside it.

        Raises:
            ExchangeRefused: The provider gives none for this identity.
            ClockSkew: It refuses, and this machine's clock is off.
            IdentityExpired: The identity has no token that was not sent before.
            ServerDown: The provider cannot be reached, fails, or answers no token.
            BackendTimeout: It does not answer in time.
            RateLimited: It asks for a pause.
            LoginRequired, IdentityUnavailable, …: The identity has none; see `Identity.token`.
        """
        token = self._token()
        if token is None:
            raise IdentityExpired(
                f"the token of identity {self.identity.name} was sent to {self._host} already",
                hint="wait until there is a newer one; where its issuer lets one be exchanged "
                "more than once, set jti_reuse = true in the backend's table",
            )
        try:
            return self._once(token, fields)
        except (ServerDown, BackendTimeout) as error:
            failure = error
        if not failure.details.get("temporary") or not failure.details.get("sent"):
            raise failure
        self.chances.pause(_PAUSE * (1 + self.chances.share()))
        another = self._token()
        if another is None:
            raise failure
        return self._once(another, fields)

    @property
    def _host(self) -> str:
        return urlsplit(self.endpoint).netloc

    def _token(self) -> Token | None:
        """Return a token that may be sent now, and count it as sent; None where there is none."""
        token = self.identity.token(self.audience)
        if self.reuse or _SPENT.claim(self.endpoint, token, self.chances.now()):
            return token
        return None

    def _once(self, token: Token, fields: Mapping[str, str]) -> Credential:
        sent_at = self.chances.now()
        try:
            reply = self._send({"grant_type": self.format.grant, **fields}, token)
        except BackendUnavailable as error:
            if error.details.get("sent") is False:
                _SPENT.give_back(self.endpoint, token)
            raise
        if reply.status >= _REFUSED:
            raise refused(self._host, reply, token)
        granted = Granted(self._host, self.format, reply, token)
        return granted.credential(sent_at, self.chances.share())

    def _send(self, fields: Mapping[str, str], token: Token) -> http.Reply:
        whole = {**fields, self.format.assertion: token.value}
        post = http.post_json if self.format.as_json else http.post_form
        return post(self.endpoint, whole, self.format.headers)
