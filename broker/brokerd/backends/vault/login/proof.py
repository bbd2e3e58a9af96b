"""How does a proof of who this is become a token of the server?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.faults import translated
from brokerd.backends.vault.login.auth import auth_of
from brokerd.backends.vault.login.base import Auth
from brokershim.errors import BackendRefused, BrokerError, NamespaceNotFound, NotFound


def prove(
    vault: Vault, mount: str, show: Callable[[Any], object], hint: str, now: Callable[[], float]
) -> Auth:
    """Return what a login brings.

    Args:
        vault: Where.
        mount: Of the auth method, below ``auth/``.
        show: Shows the proof with an `hvac.Client`, and returns the answer.
        hint: What to do where it is not taken.
        now: The time, in seconds of `brokershim.clock.now`.

    Raises:
        BackendRefused: It is not taken; or there is no such auth method, which is not to be
            mistaken for a secret that is not there.
        BrokerError: As `faults.translated`.
    """
    asked_at = now()
    return auth_of(asked(vault, mount, show, hint), asked_at)


def asked(vault: Vault, mount: str, ask: Callable[[Any], object], hint: str) -> object:
    """Return what an auth method answers; arguments and errors are those of `prove`."""
    try:
        with translated(f"logging in to {vault.name} at auth/{mount}"):
            return ask(vault.client())
    except NamespaceNotFound:
        raise
    except (BackendRefused, NotFound) as error:
        refusal = BackendRefused(error.message, hint=_first(vault, mount, error) + hint)
    raise refusal


def _first(vault: Vault, mount: str, error: BrokerError) -> str:
    """Return where to look first: a mount that is none is refused, and not said to be none."""
    if isinstance(error, NotFound) or error.message.endswith("permission denied"):
        namespace = vault.servers.namespace
        where = f"auth/{mount}" + (f" of the namespace {namespace}" if namespace else "")
        return f"see whether the auth method is at {where} (`auth_mount`), then "
    return ""
