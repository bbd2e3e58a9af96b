"""Which secret id does an AppRole log in with, and where does it come from?

From a file, or from a person. Wrapped, it is opened once, kept in the keyring of the operating
system (in memory, where there is none), and what it came in is forgotten.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from dataclasses import asdict, dataclass, field

from brokerd.backends.reply import part, text
from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.login.enrolled import Enrolled
from brokerd.backends.vault.login.wrapping import Wrapping
from brokerd.identities import tokenfile
from brokershim.errors import BrokerError, IdentityUnavailable, KeyringUnavailable, ServerDown

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """What is kept. Its repr shows none of it.

    Attributes:
        secret_id: The secret id; empty as long as it is wrapped.
        wrapping: The wrapping token; empty once it is opened, or where there was none.
        opened: Tells which wrapping token was opened, and not what it is; empty where none was.
    """

    secret_id: str = field(default="", repr=False)
    wrapping: str = field(default="", repr=False)
    opened: str = field(default="", repr=False)


class SecretIds:
    """The secret id of one backend.

    Args:
        name: The backend's configured name.
        wrapping: Opens what it comes in; None where it comes as it is.
        file: Where something else puts it; None where a person gives it.
        entry: Where it is kept.
    """

    def __init__(
        self, name: str, wrapping: Wrapping | None, file: str | None, entry: Enrolled
    ) -> None:
        self._name, self._wrapping, self._file, self._entry = name, wrapping, file, entry
        self._unsaved: Kept | None = None

    def current(self, vault: Vault) -> str:
        """Return the secret id.

        Raises:
            WrapOpened: It was wrapped for us alone, and somebody else has opened it.
            IdentityUnavailable: There is none.
            BrokerError: As `Wrapping.open`, `tokenfile.read_own` and `Enrolled.load`.
        """
        kept, delivered = self._kept(), self._delivered()
        if delivered is not None and self._wrapping is None:
            return delivered
        if delivered is not None and _digest(delivered) != kept.opened:
            kept = Kept(wrapping=delivered)
        if kept.wrapping and self._wrapping is not None:
            kept = self._opened(vault, self._wrapping, kept.wrapping)
        if not kept.secret_id:
            raise self._none()
        return kept.secret_id

    def is_there(self) -> bool:
        """Return whether there is one, wrapped or not; raises as `Enrolled.load`."""
        return self._kept() != Kept()

    def give(self, value: str) -> None:
        """Take in what a person gave; raises as `Enrolled.save`."""
        kept = Kept(value) if self._wrapping is None else Kept(wrapping=value)
        self._entry.save(json.dumps(asdict(kept)))
        self._unsaved = None

    def _opened(self, vault: Vault, wrapping: Wrapping, token: str) -> Kept:
        """Open what was wrapped, and keep it before anything else can go wrong."""
        found = text(wrapping.open(vault, token), "secret_id")
        if not found:
            raise ServerDown(f"the server wrapped no secret id for {self._name}")
        kept = Kept(found, opened=_digest(token))
        try:
            self._entry.save(json.dumps(asdict(kept)))
        except KeyringUnavailable as error:
            self._unsaved = kept
            _log.warning("the secret id of %s is kept in memory only: %s", self._name, error)
        if self._file is not None and self._stands_there(token):
            with contextlib.suppress(OSError):  # it is spent, and known by its digest
                os.unlink(self._file)
        return kept

    def _delivered(self) -> str | None:
        """Return what stands in the file; once opened, it is gone."""
        if self._file is None or not os.path.lexists(self._file):
            return None
        return tokenfile.read_own(self._file) or None

    def _stands_there(self, token: str) -> bool:
        """Return whether that is still what stands in the file: the next one must not be lost."""
        try:
            return self._delivered() == token
        except BrokerError:  # what is there now is looked at by the next login
            return False

    def _kept(self) -> Kept:
        if self._unsaved is not None:
            return self._unsaved
        try:
            entry = self._entry.load()
        except KeyringUnavailable:
            if self._file is None:
                raise
            return Kept()
        return Kept() if entry is None else _read(entry)

    def _none(self) -> IdentityUnavailable:
        hint = f"run `brokerctl backend enrol {self._name}`"
        if self._file is not None:
            hint = f"have one written into {self._file}"
        return IdentityUnavailable(f"{self._name} has no secret id", hint=hint)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _read(entry: str) -> Kept:
    try:
        found: object = json.loads(entry)
    except (ValueError, RecursionError):
        return Kept()
    whole = part(found)
    return Kept(text(whole, "secret_id"), text(whole, "wrapping"), text(whole, "opened"))
