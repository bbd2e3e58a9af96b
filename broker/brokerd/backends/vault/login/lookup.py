"""What does the server know of a token, asked with the token itself?

Vault, HTTP API, "Lookup a token (self)": the policy ``default`` allows it.
"""

from __future__ import annotations

from brokerd.backends.vault.client import Vault, hvac
from brokerd.backends.vault.faults import translated


def lookup(vault: Vault, token: str) -> object:
    """Return the server's answer; None where it knows none such, or does not let it look.

    Raises:
        BrokerError: As `faults.translated`.
    """
    with translated(f"looking up the token of {vault.name}"):
        try:
            answer: object = vault.client(token).auth.token.lookup_self()
        except hvac.exceptions.Forbidden:
            answer = None
    return answer
