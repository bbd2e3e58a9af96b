"""Which keys does this process hold now?

Leases are kept in memory, never on disk, and never longer than the connection they came over:
once it is lost, the daemon could no longer say that one is revoked. There is no background
thread; all is done when a key is asked for.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import threading
from typing import Any, Callable

from brokershim.client import Client, Notify
from brokershim.clock import now
from brokershim.errors import (
    BackendUnavailable,
    BadRequest,
    BrokerError,
    DaemonUnreachable,
    LeaseNotFound,
)
from brokershim.held import Held, held
from brokershim.paths import SESSION_VARIABLE

Connect = Callable[[Notify], Client]


class Holder:
    """The leases of one process, shared by its threads.

    Args:
        connect: Opens a connection; it is given what to call with notifications.
        clock: Seconds on a clock that runs while the machine sleeps.
    """

    def __init__(
        self,
        connect: Connect = lambda notify: Client(notify=notify),
        clock: Callable[[], float] = now,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._leases: dict[str, Held] = {}

    def warm(self, name: str) -> Held | None:
        """Return a lease that can be had without waiting for the daemon or another thread."""
        if not self._lock.acquire(blocking=False):
            return None
        try:
            return self._from_memory(name)
        finally:
            self._lock.release()

    def get(self, name: str) -> Held:
        """Return a lease with at least its floor of life left.

        Raises:
            DaemonUnreachable: The daemon cannot be reached.
            BackendUnavailable: The lease is too short, or its key cannot be sent in a header.
            BrokerError: The daemon refuses.
        """
        with self._lock:
            return self._from_memory(name) or self._renewed(name) or self._acquired(name)

    def report(self, lease: Held, status: int) -> bool:
        """Tell the daemon that the provider refused a key, and drop it.

        Does nothing if another lease has taken its place: a late answer to an old key must not
        end the new one.

        Args:
            lease: The lease whose key was sent.
            status: The provider's answer, 401 or 403.

        Returns:
            Whether it was still the one held.

        Raises:
            BrokerError: As for `get`.
        """
        with self._lock:
            current = self._leases.get(lease.name)
            if current is None or current.lease != lease.lease:
                return False
            del self._leases[lease.name]
            with contextlib.suppress(LeaseNotFound):  # it has ended meanwhile
                self._call("lease.report", lease=lease.lease, status=status)
            return True

    def close(self) -> None:
        """Drop everything and close the connection; the daemon then ends the leases.

        Takes no lock: at exit, a thread may hang in a call for as long as the daemon does.
        """
        self._leases = {}
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def forget_parent(self) -> None:
        """Start afresh in a forked child.

        The parent's leases are not ours, and its connection would refuse us. Closing our copy of
        the socket does not close the parent's. Another thread may have held the lock at the fork,
        and does not exist here to release it.
        """
        self._lock = threading.Lock()
        self.close()

    def _from_memory(self, name: str) -> Held | None:
        if self._client is None:
            return None
        try:
            self._client.drain()  # so that a lease is not used once the daemon has revoked it
        except BrokerError:
            self.close()
            return None
        lease = self._leases.get(name)
        return lease if lease is not None and self._clock() < lease.renew_at else None

    def _renewed(self, name: str) -> Held | None:
        """Return the lease after renewal; None if there is none, or it cannot go on."""
        old = self._leases.pop(name, None)
        if old is None:
            return None
        sent = self._clock()
        try:
            renewed = old.renewed(self._call("lease.renew", lease=old.lease), sent)
        except LeaseNotFound:
            return None
        if renewed is None or not renewed.may_begin(self._clock()):
            return None
        self._leases[name] = renewed
        return renewed

    def _acquired(self, name: str) -> Held:
        label = os.environ.get(SESSION_VARIABLE)
        params = {"session": label} if label else {}
        sent = self._clock()
        lease = held(name, self._call("lease.acquire", secret=name, **params), sent)
        if not lease.may_begin(self._clock()):
            del lease  # from this frame, which the error's traceback holds
            raise BackendUnavailable(f"the lease of {name} is too short to begin a request")
        self._leases[name] = lease
        return lease

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call the daemon; over a new connection, once, where the old one turns out lost."""
        if self._client is not None:
            with contextlib.suppress(DaemonUnreachable):  # it may have been restarted
                return self._call_over(self._client, method, params)
        self._client = self._connect(self._notified)
        return self._call_over(self._client, method, params)

    def _call_over(self, client: Client, method: str, params: dict[str, Any]) -> dict[str, Any]:
        try:
            return client.call(method, **params)
        except (DaemonUnreachable, BadRequest):
            self.close()
            raise
        except BrokerError:
            raise
        except BaseException:  # such as Ctrl-C, which leaves the connection out of step
            self.close()
            raise

    def _notified(self, method: str, params: dict[str, Any]) -> None:
        """Drop a lease that the daemon says has ended, by revocation or rotation."""
        if method in ("lease.revoked", "secret.rotated"):
            ended = params.get("lease")
            self._leases = {
                name: lease for name, lease in self._leases.items() if lease.lease != ended
            }


@functools.cache
def of_process() -> Holder:
    """Return the one holder of this process, which forked children start afresh."""
    holder = Holder()
    os.register_at_fork(after_in_child=holder.forget_parent)
    atexit.register(holder.close)
    return holder
