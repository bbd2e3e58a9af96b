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
    return _standing(settings, kept.shown, kept.until - wall, life, note)


def of_alone(settings: Settings, person: Person | None, boot: float) -> Standing:
    """Return how a login with nothing but an ID token stands, at a time of the boot clock."""
    if person is None:
        return Standing("login", settings.issuer, reason="nobody is logged in")
    left = person.token.expires_at - boot
    return _standing(settings, person.shown, left, 0.0, NO_REFRESH)


def _standing(settings: Settings, who: str, left: float, life: float, note: str) -> Standing:
    if left <= 0:
        return Standing("login", settings.issuer, who, 0.0, "the login is over")
    if left < max(_LEAST_NOTICE, _NOTICE * life):
        return Standing("due", settings.issuer, who, left, note or "the login ends soon")
    return Standing("ready", settings.issuer, who, left, note)
