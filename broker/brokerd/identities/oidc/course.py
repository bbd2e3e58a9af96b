"""How does a login wait for a browser to come back, and what does the person see there in the end?

RFC 8252, section 7.3. What the browser brings is for who began the login to make sense of.
"""

from __future__ import annotations

import asyncio
import hmac
import threading
from collections.abc import Callable, Mapping

from brokerd.identities.base import Standing
from brokerd.identities.oidc import caller, pages, ways
from brokerd.identities.oidc.loopback import SECONDS, Asked, Loopback
from brokerd.identities.oidc.pages import Page
from brokershim.errors import BrokerError

LOGIN_SECONDS = 300.0
"""How long a person may take."""


class Course:
    """One wait.

    Args:
        loopback: Where the browser comes back to; it is closed in the end.
        path: At which path, such as ``/callback``.
        state: What it has to bring along, which nobody else knows (RFC 6749, section 10.12).
        issuer: Where the person logs in, for them to read.
        redeem: Turns what it brings into a login, in a thread.
        over: Called once, when it is over.

    Attributes:
        given_up: Set once somebody has given it up.
    """

    def __init__(
        self,
        loopback: Loopback,
        path: str,
        state: str,
        issuer: str,
        redeem: Callable[[Mapping[str, str]], Standing],
        over: Callable[[], None],
    ) -> None:
        self._loopback, self._path, self._issuer = loopback, path, issuer
        self._state: str | None = state
        self._redeem, self._over = redeem, over
        self.given_up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, seconds: float) -> Standing:
        """Wait until the browser has come back, for some seconds. Raises as `Login.run`."""
        try:
            return asyncio.run(self._run(seconds))
        finally:
            self._close()

    def cancel(self) -> None:
        """Give it up."""
        self.given_up.set()
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

    async def _run(self, seconds: float) -> Standing:
        self._loop = asyncio.get_running_loop()
        self._back: asyncio.Future[Mapping[str, str]] = self._loop.create_future()
        self._end: asyncio.Future[Page] = self._loop.create_future()
        self._seen = asyncio.Event()
        if self.given_up.is_set():  # after `_loop` is there: `cancel` sees that, or this sees it
            raise ways.given_up()
        async with self._loopback.serving(self._answer):
            query = await self._wait(seconds)
            try:
                standing = await asyncio.to_thread(self._redeem, query)
            except BrokerError as error:
                await self._show(self._page_of(query, error))
                raise
            await self._show(pages.signed_in(standing.subject, self._issuer))
            return standing

    async def _wait(self, seconds: float) -> Mapping[str, str]:
        try:
            async with asyncio.timeout(seconds):
                return await self._back
        except TimeoutError:
            raise ways.too_late(seconds) from None

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
        if asked.path == self._path:
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

    def _page_of(self, query: Mapping[str, str], error: BrokerError) -> Page:
        if query.get("error") == "access_denied":
            return pages.refused(self._issuer)
        return pages.failed(error.message, error.hint)
