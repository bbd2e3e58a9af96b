"""How does a token log in that somebody else made? (Vault, "Token auth method".)

It is not ours: it is renewed where it can be, and never revoked.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login import helper
from brokerd.backends.vault.login.auth import looked_up
from brokerd.backends.vault.login.base import Auth
from brokerd.backends.vault.login.enrolled import Enrolled
from brokerd.backends.vault.login.lookup import lookup
from brokerd.backends.vault.login.words import one_word
from brokerd.identities import tokenfile
from brokerd.identities.base import Identity
from brokerd.table import Table
from brokershim import clock
from brokershim.errors import IdentityExpired, IdentityUnavailable


class GivenToken:
    """Logs in with a token that is there already.

    Args:
        name: The backend's configured name.
        read: Returns the token.
        source: Where from, in words that follow "put another one into".
        now: The time, in seconds of `brokershim.clock.now`.
    """

    kind = "token"
    wants = ""

    def __init__(
        self,
        name: str,
        read: Callable[[], str],
        source: str,
        now: Callable[[], float] = clock.now,
    ) -> None:
        self._name, self._read, self._source, self._now = name, read, source, now

    def revision(self) -> Hashable:
        """Return a constant: where it comes from, a look could block."""
        return None

    def login(self, vault: Vault) -> Auth:
        """Return what the server knows of the token.

        Raises:
            IdentityExpired: It knows none such.
            BrokerError: As `Method.login`.
        """
        token, asked_at = self._read(), self._now()
        answer = lookup(vault, token)
        if answer is None:
            raise self._over()
        return looked_up(answer, token, asked_at)

    def _over(self) -> IdentityExpired:
        return IdentityExpired(
            f"the token of {self._name} is over, was revoked, or may not look itself up",
            hint=f"get a new one, and {self._source}",
        )


class EnrolledToken(GivenToken):
    """Logs in with a token that a person gave.

    Attributes:
        wants: What a person is asked for.
    """

    wants = "token"

    def __init__(self, name: str, entry: Enrolled, now: Callable[[], float] = clock.now) -> None:
        super().__init__(name, self._load, f"run `brokerctl backend enrol {name}`", now)
        self._entry = entry
        self._times = 0

    def revision(self) -> Hashable:
        """Return how often one was given."""
        return self._times

    def enrolled(self) -> bool:
        """Return whether there is one; raises as `Enrolled.load`."""
        return self._entry.load() is not None

    def enrol(self, value: str) -> None:
        """Keep a token in the place of the one before.

        Raises:
            UsageError: It is none.
            KeyringUnavailable: The keyring does not keep it.
        """
        self._entry.save(one_word(value, self.wants))
        self._times += 1

    def _load(self) -> str:
        found = self._entry.load()
        if found is None:
            raise IdentityUnavailable(
                f"{self._name} was given no token",
                hint=f"run `brokerctl backend enrol {self._name}`",
            )
        return found


def build(name: str, table: Table, identities: Mapping[str, Identity]) -> GivenToken:  # noqa: ARG001 - as of every login
    """Return the login that a table with ``login = "token"`` describes.

    Raises:
        ConfigError: It names both a file and a helper, or one that is no absolute path.
    """
    path = table.optional_absolute_path("token_file")
    program = table.optional_absolute_path("token_helper")
    if path is not None and program is not None:
        raise table.error("one of token_file and token_helper is enough")
    if path is not None:
        return GivenToken(name, lambda: tokenfile.read_own(path), f"have it written into {path}")
    if program is not None:
        return GivenToken(name, lambda: helper.get(program), f"give it to {program}")
    return EnrolledToken(name, Enrolled(name))
