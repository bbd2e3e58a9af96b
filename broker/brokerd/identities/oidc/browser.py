"""How does a person log in with the browser of this machine?

Authorization code with PKCE (RFC 6749, section 4.1; RFC 7636) and a loopback redirect (RFC 8252).
"""

from __future__ import annotations

import importlib
import secrets
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from brokerd.identities.base import Standing
from brokerd.identities.oidc import ways
from brokerd.identities.oidc.course import LOGIN_SECONDS, Course
from brokerd.identities.oidc.loopback import Loopback
from brokerd.identities.oidc.metadata import Metadata
from brokerd.identities.oidc.settings import Settings
from brokershim.errors import IdentityUnavailable, LoginRefused

_PATH = "/callback"
_RANDOM_BYTES = 32  # RFC 7636, section 7.1


class BrowserLogin:
    """One login that waits for a browser to come back.

    Args:
        settings: Who the provider is, and who we are to it.
        metadata: Where a browser goes.
        begin: Takes in what the login brings.
        over: Called once, when it is over.

    Raises:
        IdentityUnavailable: The provider has no page for browsers.
    """

    user_code: str | None = None
    seconds = LOGIN_SECONDS

    def __init__(
        self,
        settings: Settings,
        metadata: Metadata,
        begin: ways.Begin,
        over: Callable[[], None],
    ) -> None:
        if metadata.authorization is None:
            raise IdentityUnavailable(
                f"{settings.issuer} offers no login with a browser",
                hint=f"try `brokerctl login {settings.name} --device`",
            )
        self._settings, self._metadata, self._begin = settings, metadata, begin
        state = secrets.token_urlsafe(_RANDOM_BYTES)
        self._nonce = secrets.token_urlsafe(_RANDOM_BYTES)
        self._verifier = secrets.token_urlsafe(_RANDOM_BYTES)
        loopback = Loopback()
        self._redirect = f"http://{loopback.authority}{_PATH}"
        self.url = f"{metadata.authorization}{self._glue()}{urlencode(self._question(state))}"
        self._course = Course(loopback, _PATH, state, settings.issuer, self._redeem, over)

    def run(self) -> Standing:
        """Wait until the browser has come back. Raises as `Login.run`."""
        return self._course.run(self.seconds)

    def cancel(self) -> None:
        """Give it up."""
        self._course.cancel()

    def _redeem(self, query: Mapping[str, str]) -> Standing:
        """Turn the code into a login; in a thread, since it asks the provider."""
        self._check_issuer(query)
        form = {
            "grant_type": "authorization_code",
            "code": ways.code_in(query),
            "redirect_uri": self._redirect,
            "client_id": self._settings.client_id,
            "code_verifier": self._verifier,
        }
        grant = ways.granted(self._metadata.token, form)
        return self._begin(grant, self._nonce, self._course.given_up)

    def _check_issuer(self, query: Mapping[str, str]) -> None:
        """Refuse the answer of another provider (RFC 9207, section 2.4: a mix-up)."""
        issuer = query.get("iss")
        if issuer is None and not self._metadata.names_itself:
            return
        if issuer != self._settings.issuer:
            raise LoginRefused("the browser brings the answer of another provider (a mix-up)")

    def _glue(self) -> str:
        return "&" if "?" in (self._metadata.authorization or "") else "?"

    def _question(self, state: str) -> list[tuple[str, str]]:
        scopes = self._settings.wanted(self._metadata.scopes)
        challenge = importlib.import_module("authlib.oauth2.rfc7636").create_s256_code_challenge
        question = [
            ("response_type", "code"),
            ("client_id", self._settings.client_id),
            ("redirect_uri", self._redirect),
            ("scope", " ".join(scopes)),
            ("state", state),
            ("nonce", self._nonce),
            ("code_challenge", challenge(self._verifier)),
            ("code_challenge_method", "S256"),
            *(("resource", each) for each in self._settings.resources),
        ]
        if "offline_access" in scopes:  # OpenID Connect Core 1.0, section 11
            question.append(("prompt", "consent"))
        return question
