"""When does a login need a person again? (Pure.)"""

from __future__ import annotations

from brokerd.identities.base import Standing
from brokerd.identities.oidc.keeping import Kept
from brokerd.identities.oidc.settings import Settings
from brokerd.identities.oidc.verify import Person

_LEAST_NOTICE = 600.0
_NOTICE = 0.1
"""Of a login's life: of a month, three days."""
IN_MEMORY = "kept in memory only, so it ends when the daemon stops"
NO_REFRESH = "the provider granted no refresh token, so it ends with its ID token"


def of_kept(settings: Settings, kept: Kept, wall: float) -> Standing:
    """Return how a login with a refresh token stands, at a time in seconds since 1970."""
    note = IN_MEMORY if settings.keep == "memory" else ""
    if kept.until is None:
        return Standing("ready", settings.issuer, kept.shown, None, note)
    life = kept.life or 0.0
    return of_left(settings.issuer, kept.shown, kept.until - wall, life, note)


def of_alone(settings: Settings, person: Person | None, boot: float) -> Standing:
    """Return how a login with nothing but an ID token stands, at a time of the boot clock."""
    if person is None:
        return Standing("login", settings.issuer, reason="nobody is logged in")
    left = person.token.expires_at - boot
    return of_left(settings.issuer, person.shown, left, 0.0, NO_REFRESH)


def of_left(issuer: str, who: str, left: float, life: float, note: str = "") -> Standing:
    """Return how a login stands that ends in some seconds.

    Args:
        issuer: From where.
        who: Who is logged in.
        left: How many.
        life: How long it was for, in seconds.
        note: What bounds it, where there is more to say.
    """
    if left <= 0:
        return Standing("login", issuer, who, 0.0, "the login is over")
    if left < max(_LEAST_NOTICE, _NOTICE * life):
        return Standing("due", issuer, who, left, note or "the login ends soon")
    return Standing("ready", issuer, who, left, note)
