"""Which tokens does a session hold, and what is to become of each? (No server is asked.)"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, replace

from brokerd.backends.vault.login.base import Auth

_RENEW_AT = 2 / 3
"""The part of its life after which a token is renewed, as Vault's own agent does."""
_SHORTEST_SECONDS = 1.0
_REMEMBERED = 4096
"""How many tokens that have ended are known by their accessors."""


@dataclass(frozen=True)
class Held:
    """One token.

    Attributes:
        auth: What the server said of it.
        basis: The login method's revision as it was made.
        since: When its end was last learnt, in seconds of `brokershim.clock.now`.
    """

    auth: Auth
    basis: Hashable
    since: float

    @property
    def due_at(self) -> float | None:
        """When to do something for it to live on; None if it never dies."""
        ends = self.auth.expires_at
        if ends is None:
            return None
        return self.since + max((ends - self.since) * _RENEW_AT, _SHORTEST_SECONDS)

    def is_over(self, now: float) -> bool:
        """Return whether it is dead by now."""
        return self.auth.expires_at is not None and self.auth.expires_at <= now

    def with_life_of(self, auth: Auth, since: float) -> Held:
        """Return the same token, and what a renewal said of its life."""
        ends = auth.expires_at
        return replace(
            self,
            auth=replace(self.auth, expires_at=ends, renewable=auth.renewable),
            since=since,
        )

    def gained_on(self, before: Held) -> bool:
        """Return whether a renewal made up for most of what had passed.

        If not, the server's limit is near (Vault, "Token time-to-live, periodic tokens, and
        explicit max TTLs"), and each further one would bring less.
        """
        ends, ended = self.auth.expires_at, before.auth.expires_at
        return ends is None or ended is None or ends - ended >= (self.since - before.since) / 2

    def is_same(self, other: Held | None) -> bool:
        """Return whether another is the same token, whatever was learnt of it since."""
        return other is not None and self.auth.token == other.auth.token


class Tokens:
    """The token that is used, those before it that still live, and those that have to be revoked.

    For use by any number of threads.

    Attributes:
        lost: How many tokens ended before their time. What was had under them ended, too.
    """

    def __init__(self) -> None:
        self.lost = 0
        self._lock = threading.Lock()
        self._current: Held | None = None
        self._spare: list[Held] = []
        self._leaving: list[Held] = []
        self._condemned: set[str] = set()
        self._ended: deque[str | None] = deque(maxlen=_REMEMBERED)
        self._closed = False

    @property
    def current(self) -> Held | None:
        """The token that is used, if there is one."""
        return self._current

    @property
    def leaving(self) -> list[Held]:
        """What has to be revoked."""
        return list(self._leaving)

    @property
    def closed(self) -> bool:
        """Whether no more are taken."""
        return self._closed

    def take(self, held: Held, now: float) -> bool:
        """Use a token from now on; the one before lives on with what was made under it.

        Returns:
            Whether it was taken: once closed, it is not.
        """
        with self._lock:
            if self._closed:
                return False
            before, self._current = self._current, held
            if before is not None and not before.is_same(held):
                at = self._spare if before.basis == held.basis else self._leaving
                at.append(before)
            for each in [each for each in self._spare if each.is_over(now)]:
                self._remove(each)
                self._leaving.append(each)  # by our clock: the server may have given it more
            return True

    def renewed(self, held: Held) -> None:
        """Take in that a token's life has changed, unless it is not used any more."""
        with self._lock:
            if held.is_same(self._current):
                self._current = held

    def lose(self, held: Held) -> bool:
        """Take in that a token has ended before its time; return whether that is new."""
        with self._lock:
            if not self._remove(held):
                return False
            self.lost += 1
            self._ended.append(held.auth.accessor)
            return True

    def condemn(self, held: Held) -> None:
        """Take in that a token has to be revoked: once it is, it has ended before its time.

        Until then what was made under it lives: while the server is away, all of it is of use.
        """
        with self._lock:
            if self._remove(held):
                self._leaving.append(held)
                self._condemned.add(held.auth.token)

    def leave(self, held: Held) -> None:
        """Take in that somebody else is logged in, or nobody: a token is not used any more."""
        with self._lock:
            if self._remove(held):
                self._leaving.append(held)

    def drop(self, held: Held) -> None:
        """Forget a token that is over, or revoked."""
        with self._lock:
            self._remove(held)
            self._leaving = [each for each in self._leaving if not each.is_same(held)]
            if held.auth.token in self._condemned:
                self._condemned.remove(held.auth.token)
                self.lost += 1
            self._ended.append(held.auth.accessor)

    def has_ended(self, accessor: str) -> bool:
        """Return whether a token was held, and is over, or revoked."""
        with self._lock:
            return accessor in self._ended

    def find(self, accessor: str) -> Held | None:
        """Return the token of an accessor, if it is held."""
        with self._lock:
            return next((each for each in self._all() if each.auth.accessor == accessor), None)

    def to_use(self, accessor: str) -> Held | None:
        """Return the token of an accessor, if it is one that lives on."""
        found = self.find(accessor)
        return None if found is None or found in self.leaving else found

    def close(self) -> list[Held]:
        """Take no more tokens, and return all that are held."""
        with self._lock:
            self._closed = True
            return self._all()

    def _all(self) -> list[Held]:
        used = [] if self._current is None else [self._current]
        return [*used, *self._spare, *self._leaving]

    def _remove(self, held: Held) -> bool:
        """Return whether a token was one of those that live on, of which it is none now."""
        if held.is_same(self._current):
            self._current = None
            return True
        others = [each for each in self._spare if not each.is_same(held)]
        found, self._spare = len(others) < len(self._spare), others
        return found
