"""Which logins are under way, and whose are they?

A login takes as long as a person does, so each runs in a thread of its own, and not in one of
those that `brokerd.blocking` has for everybody. It ends with the connection that began it: whoever
sat there would not see how it went, and what they left open could be finished by another.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from brokerd.audit.group import GroupCommit
from brokerd.identities.base import Login, Mode, PersonalAccount, Standing, is_asking
from brokerd.underway import UnderWay
from brokershim.errors import (
    AuditUnavailable,
    BackendTimeout,
    BackendUnavailable,
    BrokerError,
    LimitExceeded,
    LoginUnderWay,
    NotFound,
    UsageError,
)

MAX_LOGINS = 8
BEGIN_SECONDS = 45.0
"""How long a provider may take to say where a person goes on; less than a client waits."""
_CANCEL_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Logins:
    """The logins that are under way, or whose end nobody has asked for yet.

    Args:
        audit: Told of each beginning and end.
    """

    def __init__(self, audit: GroupCommit) -> None:
        self._audit = audit
        self._threads = ThreadPoolExecutor(MAX_LOGINS, thread_name_prefix="brokerd-login")
        self._logins: dict[str, UnderWay] = {}
        self._ended = False

    async def begin(
        self, identity: PersonalAccount, mode: Mode, connection: int, pid: int
    ) -> tuple[str, Login]:
        """Begin a login; return its id, and where the person goes on.

        Raises:
            LoginUnderWay: Somebody is logging in to that identity already.
            LimitExceeded: Too many logins are under way.
            BackendUnavailable: The daemon is stopping.
            AuditUnavailable: It cannot be put on record, so nothing was begun.
            BackendTimeout: The provider did not answer in time.
            BrokerError: What `PersonalAccount.login` says.
        """
        self._make_room(identity.name)
        found = UnderWay(identity, mode, connection, pid)
        self._logins[found.id] = found
        found.task = asyncio.get_running_loop().create_task(self._follow(found))
        found.task.add_done_callback(_retrieve)
        either: set[asyncio.Future[Any]] = {found.task, found.offered}
        await asyncio.wait(either, timeout=BEGIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if found.offered.done():
            return found.id, found.offered.result()
        self._drop(found)
        if found.task.done():
            found.task.result()
        raise BackendTimeout(f"identity {identity.name} did not answer in {BEGIN_SECONDS:.0f} s")

    async def wait(self, login_id: str, connection: int, seconds: float) -> Standing | None:
        """Return how the identity stands once the login has succeeded; None if it goes on.

        Args:
            login_id: What `begin` returned.
            connection: The number of the connection that asks.
            seconds: How long to wait for it.

        Raises:
            NotFound: That connection began no such login, or has heard of its end, or has not
                asked for it before another needed its place.
            BrokerError: Why the login failed.
        """
        found = self._of(login_id, connection)
        await asyncio.wait({found.task}, timeout=seconds)
        if not found.task.done():
            return None
        self._logins.pop(login_id, None)
        return found.task.result()

    def answer(self, login_id: str, connection: int, value: str) -> None:
        """Hand a login what the person typed.

        Raises:
            NotFound: That connection began no such login, or has heard of its end.
            UsageError: It asks for nothing, or not for that.
        """
        login = self._of(login_id, connection).offered.result()
        if not is_asking(login):
            raise UsageError("that login asks for nothing that is typed here")
        login.answer(value)

    async def cancel(self, login_id: str, connection: int) -> None:
        """Give a login up, and wait a moment until it is over.

        Raises:
            NotFound: That connection began no such login, or has heard of its end.
        """
        found = self._of(login_id, connection)
        self._drop(found)
        await asyncio.wait({found.task}, timeout=_CANCEL_SECONDS)

    def holds(self, connection: int) -> bool:
        """Return whether a login goes on that the connection of that number began."""
        return any(each.connection == connection and not each.task.done() for each in self._all())

    def closed(self, connection: int) -> None:
        """Give up every login that the connection of that number began."""
        for each in self._all():
            if each.connection == connection:
                self._drop(each)

    async def end(self, seconds: float) -> None:
        """Give all up, and wait a while until they are over: the daemon stops."""
        self._ended = True
        tasks = {each.task for each in self._all()}
        for each in self._all():
            self._drop(each)
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _all(self) -> list[UnderWay]:
        return list(self._logins.values())

    def _of(self, login_id: str, connection: int) -> UnderWay:
        found = self._logins.get(login_id)
        if found is None or found.connection != connection:
            raise NotFound(
                f"this connection began no login {login_id[:64]!r} that goes on",
                hint="begin another with `brokerctl login`",
            )
        return found

    def _make_room(self, name: str) -> None:
        """Let one more login in; a login that is over, and was not asked about, gives way to it."""
        if self._ended:
            raise BackendUnavailable("the daemon is stopping", hint="try again")
        going = [each for each in self._all() if not each.task.done()]
        if any(each.identity.name == name for each in going):
            raise LoginUnderWay(f"somebody is logging in to {name} already")
        if len(going) >= MAX_LOGINS:
            raise LimitExceeded(f"{MAX_LOGINS} logins are under way")
        if len(self._logins) >= MAX_LOGINS:
            oldest = next(each for each in self._all() if each.task.done())
            del self._logins[oldest.id]

    def _drop(self, login: UnderWay) -> None:
        """Give a login up; it keeps its place until it is over."""
        login.cancel()
        login.task.add_done_callback(lambda _: self._logins.pop(login.id, None))

    async def _follow(self, login: UnderWay) -> Standing:
        name, pid = login.identity.name, login.pid
        await self._audit.record("identity.login_begun", identity=name, mode=login.mode, pid=pid)
        try:
            work = self._threads.submit(login.carry_out)
            standing = await asyncio.wrap_future(work)
        except BrokerError as error:
            await self._failed(login, error)
            raise
        await self._audit.record(
            "identity.logged_in",
            identity=name,
            subject=standing.subject,
            issuer=standing.issuer,
            pid=pid,
        )
        return standing

    async def _failed(self, login: UnderWay, error: BrokerError) -> None:
        """Write down that a login failed. It has, whether or not it can be written."""
        try:
            await self._audit.record(
                "identity.login_failed",
                identity=login.identity.name,
                kind=error.kind,
                pid=login.pid,
            )
        except AuditUnavailable as unwritten:
            _log.error("a login that failed is not in the audit: %s", unwritten)


def _retrieve(task: asyncio.Task[Standing]) -> None:
    """Take the error of a login that nobody asks about any more; it is in the audit."""
    if not task.cancelled():
        task.exception()
