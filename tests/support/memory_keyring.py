"""A keyring in a dictionary, for tests of what stands on one."""

from __future__ import annotations

from typing import Any

import pytest


class MemoryKeyring:
    """Keeps entries in memory.

    Attributes:
        entries: By service and user.
        refuse: The error that every call raises, if any.
    """

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}
        self.refuse: Exception | None = None

    def get_password(self, service: str, username: str) -> str | None:
        self._answer()
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._answer()
        self.entries[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._answer()
        del self.entries[service, username]

    def _answer(self) -> None:
        if self.refuse is not None:
            raise self.refuse


def use(monkeypatch: pytest.MonkeyPatch, keyring: Any) -> None:
    """Let the daemon's parts find this keyring, or none."""
    monkeypatch.setattr("brokerd.keyring.find_keyring", lambda: keyring)
