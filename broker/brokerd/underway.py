"""How does one login go on, in a thread of its own, and how is it given up?"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading

from brokerd.identities.base import Login, Mode, PersonalAccount, Standing
from brokershim.errors import LoginRefused


class UnderWay:
    """One login.

    Args:
        identity: What is logged in to.
        mode: In which way.
        connection: The number of the connection that began it.
        pid: The process at that connection's other end.

    Attributes:
        id: Names it on that connection.
        offered: Holds, once it is known, where the person goes on.
        task: Follows it to its end.
    """

    task: asyncio.Task[Standing]

    def __init__(self, identity: PersonalAccount, mode: Mode, connection: int, pid: int) -> None:
        self.id = secrets.token_hex(8)
        self.identity = identity
        self.mode: Mode = mode
        self.connection, self.pid = connection, pid
        self._loop = asyncio.get_running_loop()
        self.offered: asyncio.Future[Login] = self._loop.create_future()
        self._given_up = threading.Event()
        self._login: Login | None = None

    def carry_out(self) -> Standing:
        """Log in, in the thread that calls this.

        Raises:
            LoginRefused: It was given up, or what else `Login.run` says.
            BrokerError: What `PersonalAccount.login` and `Login.run` say.
        """
        if self._given_up.is_set():
            raise LoginRefused("the login was given up")
        login = self.identity.login(self.mode)
        # Set before the flag is read, as `cancel` sets the flag before it reads this: one of the
        # two sees the other.
        self._login = login
        if self._given_up.is_set():
            login.cancel()
        with contextlib.suppress(RuntimeError):  # the daemon has ended, and its loop with it
            self._loop.call_soon_threadsafe(self.offered.set_result, login)
        return login.run()

    def cancel(self) -> None:
        """Give it up, however far it is."""
        self._given_up.set()
        if self._login is not None:
            self._login.cancel()
