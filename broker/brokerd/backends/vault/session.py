"""How is a login at a Vault made, kept alive, and given back in the end?

    log in ──2/3 of its life──> renew ──it does not get longer any more──> log in anew
       └──the server ends it──> lost: what was had under it has ended, too

The token before lives on until it dies, since what was made under it dies with it (Vault, "Tokens",
"Token hierarchies and orphan tokens"; "Lease, renew, and revoke").
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeVar

from brokerd.backends.flight import Flight
from brokerd.backends.vault.client import Vault, hvac
from brokerd.backends.vault.faults import translated
from brokerd.backends.vault.login.base import Method
from brokerd.backends.vault.tokens import Held, Tokens
from brokerd.backends.vault.upkeep import Upkeep, end_each, end_others
from brokershim import clock
from brokershim.errors import BackendUnavailable

_Result = TypeVar("_Result")
_log = logging.getLogger(__name__)


class Session:
    """One backend's login. For use by any number of threads.

    Args:
        vault: Where.
        method: How.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    def __init__(self, vault: Vault, method: Method, now: Callable[[], float] = clock.now) -> None:
        self._vault, self._method, self._now = vault, method, now
        self._tokens, self._upkeep = Tokens(), Upkeep(vault, method, now)
        self._logging_in: Flight[Held] = Flight()

    def call(
        self,
        work: Callable[[Any], _Result],
        what: str | None = None,
        *,
        once: bool = False,
        under: str | None = None,
    ) -> _Result:
        """Return what some work with the server returns, logged in.

        Where the token turns out to be dead, it is lost: there is a new login, and one more try.

        Args:
            work: Is given an `hvac.Client`.
            what: What is done, for messages, if more can be said than who is asked.
            once: As with `Vault.client`.
            under: The accessor of the token to do it with, or not at all: what is made while the
                journal names one token must not be made under another.

        Raises:
            BrokerError: As `Method.login`, and as `faults.translated` says.
        """
        refusals = partial(
            translated, what or f"asking {self._vault.name}", backend=self._vault.name
        )
        held = self._live() if under is None else self._of(under)
        refusal: Exception | None = None
        with refusals():
            try:
                return work(self._upkeep.client(held, once=once))
            except hvac.exceptions.Forbidden as error:
                refusal = error
        # After the handler: what goes wrong now must not carry the server's answer along.
        if refusal is not None and not self._upkeep.is_dead(held):
            with refusals():
                raise refusal
        self._has_died(held)
        if under is not None:
            raise self._ended()
        held = self._live()
        with refusals():
            return work(self._upkeep.client(held, once=once))

    def risk(self) -> str | None:
        """Return the accessor of a token that lives, logged in if need be.

        Ending it ends all that is made under it, should nobody hear what that is.

        Returns:
            None where only time ends that: a batch token has no accessor, and one that somebody
            gave us is not ours to end.

        Raises:
            BrokerError: As `call`.
        """
        held = self._live()
        if held.auth.accessor is None or not held.auth.ours:
            return None
        if self._upkeep.is_dead(held):
            self._has_died(held)
            held = self._live()
        return held.auth.accessor

    def expires_at(self, accessor: str | None = None) -> float | None:
        """Return when a token dies, in seconds of `brokershim.clock.now`; None if never.

        Args:
            accessor: Of which; of the one that is used, if None. One that is not held is over.
        """
        held = self._tokens.current if accessor is None else self._tokens.find(accessor)
        return self._now() if held is None else held.auth.expires_at

    def revoke_accessor(self, accessor: str) -> None:
        """End a token with all that was made under it; one that is over is no error.

        Raises:
            BackendUnavailable: It cannot be done now.
            BackendRefused: It is of a login before this daemon's, and this one may not end it.
        """
        if self._tokens.has_ended(accessor):
            return
        held = self._tokens.find(accessor)
        if held is None:
            self._live()  # a login that lasts may be the one of the daemon before
            held = self._tokens.find(accessor)
        if held is None:
            self.call(lambda client: end_others(client, accessor), "ending a login")
        elif held.auth.ours:
            self._tokens.condemn(held)
            self._end(held)

    def generation(self) -> Hashable:
        """Return what changes when what was made under a token has ended with it.

        It neither blocks nor raises.
        """
        return self._method.revision(), self._tokens.lost

    def due_at(self) -> float | None:
        """Return when to call `tend`; see `TendedBackend.due_at`."""
        held = self._tokens.current
        if self._tokens.leaving or (held is not None and not self._is_of_now(held)):
            return self._now()
        return None if held is None else held.due_at

    def tend(self) -> None:
        """Renew the token where that is due, and revoke those that are not used any more.

        Raises:
            BrokerError: As `call`.
        """
        held = self._tokens.current
        if held is not None and not self._is_of_now(held):
            self._tokens.leave(held)
        held = self._tokens.current
        if held is not None and held.due_at is not None and held.due_at <= self._now():
            self._prolong(held)
        end_each(self._end, self._tokens.leaving)  # last: it may be refused, again and again

    def close(self) -> None:
        """Revoke every token of ours that no later daemon goes on with; nobody is logged in then.

        Raises:
            BrokerError: One could not be revoked; the others are.
        """
        end_each(self._give_back, self._tokens.close())

    def _live(self, other_than: Held | None = None) -> Held:
        """Return a token that can be used, logged in if need be."""
        held = self._good(other_than)
        if held is None:
            held = self._logging_in.join(lambda: self._good(other_than) or self._log_in())
        return held

    def _good(self, other_than: Held | None) -> Held | None:
        held = self._tokens.current
        if held is None or held.is_same(other_than):
            return None
        return held if self._is_of_now(held) and not held.is_over(self._now()) else None

    def _is_of_now(self, held: Held) -> bool:
        """Return whether who is logged in is still who was when a token was made."""
        return held.basis == self._method.revision()

    def _of(self, accessor: str) -> Held:
        held = self._tokens.to_use(accessor)
        if held is None or held.is_over(self._now()) or not self._is_of_now(held):
            raise self._ended()
        return held

    def _log_in(self) -> Held:
        if self._tokens.closed:
            raise BackendUnavailable("the daemon is stopping", hint="try again")
        # Before the login: who logs in elsewhere meanwhile is somebody else.
        basis, asked_at = self._method.revision(), self._now()
        auth = self._method.login(self._vault)
        held = Held(auth, basis, asked_at)
        if not self._tokens.take(held, self._now()):
            self._give_back(held)
            raise BackendUnavailable("the daemon is stopping", hint="try again")
        return held

    def _prolong(self, held: Held) -> None:
        if held.is_over(self._now()):
            self._tokens.leave(held)  # who asks next logs in anew
            return
        newer = self._upkeep.renewed(held)
        if newer is not None:
            self._tokens.renewed(newer)  # in any case: it may be less than it was
            if newer.gained_on(held):
                return
        elif self._upkeep.is_dead(held):
            self._has_died(held)
        self._live(other_than=held)

    def _give_back(self, held: Held) -> None:
        """Revoke a token as the daemon stops, unless the next one goes on with it."""
        if not (held.auth.lasting and self._is_of_now(held)):
            self._end(held)

    def _has_died(self, held: Held) -> None:
        """Take in that the server does not know a token any more: lost, if that is too early."""
        if held.is_over(self._now()):
            self._tokens.drop(held)
        elif self._tokens.lose(held):
            _log.warning("the server ended the login of %s before its time", self._vault.name)

    def _end(self, held: Held) -> None:
        """Revoke a token, where it is ours, and forget it."""
        self._upkeep.end(held)
        self._tokens.drop(held)

    def _ended(self) -> BackendUnavailable:
        return BackendUnavailable(
            f"the login at {self._vault.name} has just ended",
            hint="try again",
            details={"sent": False},
        )
