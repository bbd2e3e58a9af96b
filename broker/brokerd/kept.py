"""Which keys are kept, and until when is each of use? (The time is passed in.)"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

from brokerd.model import Credential, Secret
from brokerd.pace import pause
from brokerd.sealed import Sealed, Sealer

_FIRST_RETRY_SECONDS = 2.0


@dataclass
class Kept:
    """One key that is kept.

    Attributes:
        basis: What has to be as it was when the key was fetched.
        fetched_at: When it came, in seconds of `brokershim.clock.now`.
        confirmed_at: When its backend was last heard to have no other, in the same seconds.
        looked_at: When its backend was last asked for that.
        used_at: When it was last given.
        secrets: What it is the key of, as far as was asked: descriptions by name, each with the
            version of this key.
    """

    basis: Hashable
    fetched_at: float
    secrets: dict[str, Secret]
    _credential: Credential
    """Without its value."""
    _sealed: Sealed
    _context: bytes
    confirmed_at: float
    looked_at: float
    used_at: float
    _failures: int = 0
    _not_before: float = field(default=float("-inf"))

    @property
    def version(self) -> str:
        """Which version the key is, as the backend names it."""
        return self._credential.version

    def describe(self, secret: Secret) -> None:
        """Take in that this is a secret's key."""
        self.secrets[secret.name] = replace(secret, version=self.version)

    def opened(self, sealer: Sealer, now: float) -> Credential:
        """Return the key."""
        self.used_at = now
        return replace(self._credential, value=sealer.open(self._sealed, self._context))

    @property
    def dies(self) -> bool:
        """Whether it dies by itself."""
        return self._credential.expires_at is not None

    @property
    def served_until(self) -> float | None:
        """When it is not served any more, unless its backend is heard of; None if that is open."""
        longest = self._credential.max_staleness
        return None if longest is None else self.confirmed_at + longest

    @property
    def ends_at(self) -> float | None:
        """When it dies, or is not served any more; None if nothing says so."""
        ends = [each for each in (self._credential.expires_at, self.served_until) if each]
        return min(ends, default=None)

    def may_be_given(self, now: float) -> bool:
        """Return whether it lives for longer than its floor, and is not stale."""
        ends = self._credential.expires_at
        lives = ends is None or ends - now > self._credential.floor
        return lives and not self.is_over(now)

    def is_over(self, now: float) -> bool:
        """Return whether it is dead, or stale."""
        return self.ends_at is not None and self.ends_at <= now

    def confirm(self, now: float) -> None:
        """Take in that its backend has no other."""
        self.confirmed_at = now

    def is_due(self, now: float) -> bool:
        """Return whether a newer one is to be fetched now."""
        due = self._credential.refresh_at
        return due is not None and now >= max(due, self._not_before)

    def not_refreshed(self, now: float, draw: Callable[[], float]) -> None:
        """Take in that no newer one could be had; the next try waits for longer each time."""
        self._failures += 1
        self._not_before = now + pause(self._failures, _FIRST_RETRY_SECONDS, draw)


def keep(
    sealer: Sealer,
    key: Hashable,
    secret: Secret,
    credential: Credential,
    basis: Hashable,
    now: float,
) -> Kept:
    """Seal a key to keep it.

    Args:
        sealer: Seals it.
        key: Which key it is; it opens as no other.
        secret: What it was fetched for.
        credential: The key.
        basis: What has to be as it is for the key to be of use.
        now: The time, in seconds of `brokershim.clock.now`.
    """
    context = repr(key).encode()
    sealed = sealer.seal(credential.value, context)
    kept = Kept(basis, now, {}, replace(credential, value=b""), sealed, context, now, now, now)
    kept.describe(secret)
    return kept
