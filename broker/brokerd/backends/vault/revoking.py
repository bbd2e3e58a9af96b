"""How is a token ended at a server, with all that was made under it?"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from brokerd.backends.vault.client import hvac
from brokerd.backends.vault.faults import translated
from brokershim.errors import BackendRefused

_PATH = "auth/token/revoke-accessor"
_ENOUGH = {"update", "root"}


def end_ours(client: Any, is_dead: Callable[[], bool]) -> None:
    """End the token that a client acts with (Vault, "Revoke a token (self)").

    Args:
        client: An `hvac.Client`.
        is_dead: Asks whether the server does not know the token any more, which is no error.

    Raises:
        BrokerError: As `faults.translated`.
    """
    refusal: Exception | None = None
    with translated("revoking the login's token"):
        try:
            client.auth.token.revoke_self()
        except hvac.exceptions.Forbidden as error:
            refusal = error
    # After the handler: what goes wrong now must not carry the server's answer along.
    if refusal is not None and not is_dead():
        with translated("revoking the login's token"):
            raise refusal


def end_others(client: Any, accessor: str) -> None:
    """End a token of which only the accessor is known (Vault, "Revoke a token accessor").

    Args:
        client: An `hvac.Client`, as it is within `Session.call`.
        accessor: Of a login before this one; one that is over is no error.

    Raises:
        BackendRefused: This login may not do that.
        VaultError: As hvac, of what the call is to translate.
    """
    if not _ENOUGH & set(_capabilities(client)):
        raise BackendRefused(
            "a login of a daemon that was killed cannot be ended by this one",
            hint=f'add to its policy: path "{_PATH}" {{ capabilities = ["update"] }}',
        )
    with contextlib.suppress(hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest):
        # It may: so where it is refused, there is no such token any more.
        client.auth.token.revoke_accessor(accessor)


def _capabilities(client: Any) -> list[str]:
    found = client.sys.get_capabilities([_PATH])
    return list(found["data"].get(_PATH, ()))
