"""How is one token looked up, renewed and revoked at its server?"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from brokerd.backends.vault.capabilities import allowed, lacking, rule
from brokerd.backends.vault.client import Vault, hvac
from brokerd.backends.vault.faults import translated
from brokerd.backends.vault.login.auth import auth_of
from brokerd.backends.vault.login.base import Method, proves
from brokerd.backends.vault.tokens import Held
from brokershim.errors import BackendRefused, BackendUnavailable, BrokerError, Denied

_REFUSED: Any = (hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest)
_REVOKE_ACCESSOR = "auth/token/revoke-accessor"
_OPEN_TO_ALL = "/v1/sys/internal/ui/mounts"


class Upkeep:
    """Asks a server about tokens, each with the token itself.

    Every method raises as `faults.translated`.

    Args:
        vault: Where.
        method: How they were had.
        now: The time, in seconds of `brokershim.clock.now`.
    """

    def __init__(self, vault: Vault, method: Method, now: Callable[[], float]) -> None:
        self._vault, self._method, self._now = vault, method, now

    def client(self, held: Held, *, once: bool = False) -> Any:
        """Return an `hvac.Client` that acts with a token, with the proof that it was had with.

        The server may want a certificate of everybody, and not only of who logs in with one.

        Args:
            held: The token.
            once: As with `Vault.client`.
        """
        prove = self._method.prove if proves(self._method) else None
        return self._vault.client(held.auth.token, once=once, prove=prove)

    def is_dead(self, held: Held) -> bool:
        """Return whether the server does not know a token any more.

        A refusal alone does not tell: it is the same 403 for a token that is dead and for one
        that may not do what it is used for. By the policy ``default`` each may look itself up; one
        without it may still ask what is mounted, as every token may that lives.
        """
        client = self.client(held)
        questions = (client.auth.token.lookup_self, lambda: client.adapter.get(_OPEN_TO_ALL))
        with translated("looking up the login's token"):
            return all(_is_refused(each) for each in questions)

    def renewed(self, held: Held) -> Held | None:
        """Return a token with what its life is now; None where it cannot be renewed."""
        if not held.auth.renewable:
            return None
        asked_at, increment = self._now(), f"{held.auth.ttl:.0f}s"
        with translated("renewing the login's token"):
            try:
                answer: object = self.client(held).auth.token.renew_self(increment=increment)
            except _REFUSED:
                return None
        return held.with_life_of(auth_of(answer, asked_at), asked_at)

    def end(self, held: Held) -> None:
        """Revoke a token, and all that was made under it, where it is ours, and can be.

        One that is over is no error; a batch token cannot be revoked. The server is asked also
        where its time is over by our clock: it may have renewed it, and its answer been lost.
        """
        auth, refusal = held.auth, None
        if not auth.ours or auth.accessor is None:
            return
        with translated("revoking the login's token"):
            try:
                self.client(held).auth.token.revoke_self()
            except hvac.exceptions.Forbidden as error:
                refusal = error
        # After the handler: what goes wrong now must not carry the server's answer along.
        if refusal is not None and not (held.is_over(self._now()) or self.is_dead(held)):
            with translated("revoking the login's token"):
                raise refusal


def _is_refused(question: Callable[[], object]) -> bool:
    try:
        question()
    except hvac.exceptions.Forbidden:
        return True
    return False


def end_others(client: Any, accessor: str) -> None:
    """End a token of which only the accessor is known, as of a daemon that was killed.

    Args:
        client: An `hvac.Client`, as it is within `Session.call`.
        accessor: The token's; one that is over is no error.

    Raises:
        BackendRefused: This login may not do that.
        VaultError: Of hvac, which the call translates.
    """
    found = allowed(client, [_REVOKE_ACCESSOR])[_REVOKE_ACCESSOR]
    if lacking(found, ["update"]):
        raise BackendRefused(
            "a login of a daemon that was killed cannot be ended by this one",
            hint=f"add to its policy: {rule(_REVOKE_ACCESSOR, ['update'])}",
        )
    with contextlib.suppress(hvac.exceptions.InvalidRequest):
        # There is no such token any more. (A 403 would be about our own.)
        client.auth.token.revoke_accessor(accessor)


def end_each(end: Callable[[Held], None], tokens: list[Held]) -> None:
    """End tokens; one that cannot be ended keeps none of the others. Raises the first error."""
    failures: list[BrokerError] = []
    for held in tokens:
        try:
            end(held)
        except (BackendUnavailable, Denied) as error:
            failures.append(error)
    if failures:
        raise failures[0]
