"""How is a Vault asked? With hvac, over requests of ours."""

from __future__ import annotations

from typing import Any


class Vault:
    """One configured Vault: its servers in order, its namespace, and whom it trusts.

    Args:
        name: The backend's configured name, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def client(self, token: str | None = None) -> Any:
        """Return an `hvac.Client` that acts with a token, or with none."""
        raise NotImplementedError(token)
