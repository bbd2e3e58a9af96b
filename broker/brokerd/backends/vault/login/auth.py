"""What does a server say of a token that it made, or knows? (Pure.)

Vault, HTTP API: "Lookup a token (self)", "Renew a token (self)"; a login answers as a renewal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from brokerd.backends.reply import LARGEST
from brokerd.backends.vault.login.base import Auth
from brokershim.errors import ServerDown


def auth_of(answer: object, asked_at: float) -> Auth:
    """Return what a login or a renewal brought.

    Args:
        answer: The answer, as hvac returns it.
        asked_at: When it was asked for, in seconds of `brokershim.clock.now`: counted from then,
            a token is never thought to live for longer than it does.

    Raises:
        ServerDown: It holds no token, or one whose life nobody can tell.
    """
    found = _part(answer, "auth")
    ttl = _seconds(found, "lease_duration")
    return Auth(
        token=_text(found, "client_token"),
        accessor=_optional(found, "accessor"),
        expires_at=asked_at + ttl if ttl else None,
        ttl=ttl,
        renewable=found.get("renewable") is True,
        policies=_names(found),
    )


def looked_up(answer: object, token: str, asked_at: float) -> Auth:
    """Return what the server knows of a token that is not of our making.

    Args:
        answer: The answer, as hvac returns it.
        token: The token that it is about.
        asked_at: As with `auth_of`.

    Raises:
        ServerDown: It does not say for how long the token lives.
    """
    found = _part(answer, "data")
    left = _seconds(found, "ttl")
    # A token without an end says that it has none: its ttl of 0 alone could be its last second.
    endless = left == 0 and found.get("expire_time") is None
    return Auth(
        token=token,
        accessor=_optional(found, "accessor"),
        expires_at=None if endless else asked_at + left,
        ttl=_seconds(found, "period", 0) or _seconds(found, "creation_ttl", 0),
        renewable=found.get("renewable") is True,
        policies=_names(found),
        ours=False,
    )


def _part(answer: object, name: str) -> Mapping[str, Any]:
    whole = cast("dict[str, Any]", answer) if isinstance(answer, dict) else {}
    found: object = whole.get(name)
    if not isinstance(found, dict):
        raise _nonsense()
    return cast("dict[str, Any]", found)


def _text(found: Mapping[str, Any], name: str) -> str:
    text = _optional(found, name)
    if text is None:
        raise _nonsense()
    return text


def _optional(found: Mapping[str, Any], name: str) -> str | None:
    """Return a text, or None where it is empty: a batch token's accessor is."""
    value = found.get(name) or None
    if value is not None and not isinstance(value, str):
        raise _nonsense()
    return value


def _seconds(found: Mapping[str, Any], name: str, default: int | None = None) -> float:
    """Return seconds; what is missing, and has no default, must not be taken for no end."""
    value = found.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST:
        raise _nonsense()
    return float(value)


def _names(found: Mapping[str, Any]) -> tuple[str, ...]:
    listed: object = found.get("policies")
    entries = cast("list[object]", listed) if isinstance(listed, list) else []
    return tuple(each for each in entries if isinstance(each, str))


def _nonsense() -> ServerDown:
    return ServerDown(
        "the server answers a login as no Vault does",
        hint="see that the addresses in config.toml are those of a Vault or an OpenBao",
    )
