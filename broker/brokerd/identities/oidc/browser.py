"""How does a person log in with the browser of this machine?

Authorization code with PKCE (RFC 6749, section 4.1; RFC 7636) and a loopback redirect (RFC 8252).
"""

from __future__ import annotations

import asyncio
import hmac
import importlib
import secrets
import threading
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from brokerd.identities.base import Standing
from brokerd.identities.oidc import caller, pages, ways, words
from brokerd.identities.oidc.loopback import SECONDS, Asked, Loopback
from brokerd.identities.oidc.metadata import Metadata
from brokerd.identities.oidc.pages import Page
from brokerd.identities.oidc.settings import Settings
from brokershim.errors import BrokerError, IdentityUnavailable, LoginRefused

LOGIN_SECONDS = 300.0
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
        self._settings, self._metadata = settings, metadata
        self._begin, self._over = begin, over
        self._state: str | None = secrets.token_urlsafe(_RANDOM_BYTES)
        self._nonce = secrets.token_urlsafe(_RANDOM_BYTES)
        self._verifier = secrets.token_urlsafe(_RANDOM_BYTES)
        self._loopback = Loopback()
        self._redirect = f"http://{self._loopback.authority}/callback"
        self.url = f"{metadata.authorization}{self._glue()}{urlencode(self._question())}"
        self._given_up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self) -> Standing:
        """Wait until the browser has come back. Raises as `Login.run`."""
        try:
            return asyncio.run(self._course())
        finally:
            self._close()

    def cancel(self) -> None:
        """Give it up."""
        self._given_up.set()
        loop = self._loop
        if loop is None:
            self._close()
            return
        try:
            loop.call_soon_threadsafe(self._stop)
        except RuntimeError:  # the loop is closed: it is over
            return

    def _close(self) -> None:
        self._loopback.close()
        self._over()

    async def _course(self) -> Standing:
        self._loop = asyncio.get_running_loop()
        self._back: asyncio.Future[Mapping[str, str]] = self._loop.create_future()
        self._end: asyncio.Future[Page] = self._loop.create_future()
        self._seen = asyncio.Event()
        if self._given_up.is_set():  # after `_loop` is there: `cancel` sees that, or this sees it
            raise ways.given_up()
        async with self._loopback.serving(self._answer):
            query = await self._wait()
            try:
                standing = await asyncio.to_thread(self._redeem, query)
            except BrokerError as error:
                await self._show(self._page_of(query, error))
                raise
            await self._show(pages.signed_in(standing.subject, self._settings.issuer))
            return standing

    async def _wait(self) -> Mapping[str, str]:
        try:
            async with asyncio.timeout(self.seconds):
                return await self._back
        except TimeoutError:
            raise ways.too_late(self.seconds) from None

    async def _show(self, page: Page) -> None:
        """Lead the browser to the last page, and stay until it has it."""
        self._end.set_result(page)
        try:
            async with asyncio.timeout(SECONDS):
                await self._seen.wait()
        except TimeoutError:  # the person closed the window, which changes nothing
            return

    def _stop(self) -> None:
        if not self._back.done():
            self._back.set_exception(ways.given_up())

    async def _answer(self, asked: Asked) -> Page:
        if asked.path == "/callback":
            return await self._called_back(asked)
        page = self._end.result() if self._end.done() else None
        if page is None or asked.path != page.path:
            return pages.NOTHING_HERE
        self._seen.set()
        return page

    async def _called_back(self, asked: Asked) -> Page:
        """Take in one answer: the first of this user that knows the state. Others end nothing."""
        query = asked.query
        state = query.get("state", "").encode()
        if self._state is None or not hmac.compare_digest(state, self._state.encode()):
            return pages.NOT_OURS
        if caller.is_foreign(asked.port, self._loopback.port):
            return pages.NOT_OURS
        self._state = None
        if not self._back.done():
            self._back.set_result(query)
        return pages.moved_to(await asyncio.shield(self._end))

    def _redeem(self, query: Mapping[str, str]) -> Standing:
        """Turn the code into a login; in a thread, since it asks the provider."""
        self._check_issuer(query)
        if "error" in query:
            raise LoginRefused(f"the provider refuses the login: {words.said(_error_in(query))}")
        if not query.get("code"):
            raise LoginRefused("the provider sends the browser back without a code")
        form = {
            "grant_type": "authorization_code",
            "code": query["code"],
            "redirect_uri": self._redirect,
            "client_id": self._settings.client_id,
            "code_verifier": self._verifier,
        }
        grant = ways.granted(self._metadata.token, form)
        return self._begin(grant, self._nonce, self._given_up)

    def _check_issuer(self, query: Mapping[str, str]) -> None:
        """Refuse the answer of another provider (RFC 9207, section 2.4: a mix-up)."""
        issuer = query.get("iss")
        if issuer is None and not self._metadata.names_itself:
            return
        if issuer != self._settings.issuer:
            raise LoginRefused("the browser brings the answer of another provider (a mix-up)")

    def _page_of(self, query: Mapping[str, str], error: BrokerError) -> Page:
        if query.get("error") == "access_denied":
            return pages.refused(self._settings.issuer)
        return pages.failed(error.message, error.hint)

    def _glue(self) -> str:
        return "&" if "?" in (self._metadata.authorization or "") else "?"

    def _question(self) -> list[tuple[str, str]]:
        scopes = self._settings.wanted(self._metadata.scopes)
        challenge = importlib.import_module("authlib.oauth2.rfc7636").create_s256_code_challenge
        question = [
            ("response_type", "code"),
            ("client_id", self._settings.client_id),
            ("redirect_uri", self._redirect),
            ("scope", " ".join(scopes)),
            ("state", str(self._state)),
            ("nonce", self._nonce),
            ("code_challenge", challenge(self._verifier)),
            ("code_challenge_method", "S256"),
            *(("resource", each) for each in self._settings.resources),
        ]
        if "offline_access" in scopes:  # OpenID Connect Core 1.0, section 11
            question.append(("prompt", "consent"))
        return question


def _error_in(query: Mapping[str, str]) -> dict[str, str]:
    return {key: query[key] for key in ("error", "error_description") if key in query}
