"""How does a token in a file of ours become an identity?"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from brokerd.identities import tokenfile
from brokerd.identities.base import Identity, Standing, Token
from brokerd.identities.jwt import CLOCKS, Clocks, token_of
from brokerd.identities.reasons import reason_of
from brokerd.table import Table
from brokershim.errors import BrokerError, IdentityUnavailable


def build(name: str, table: Table) -> Identity:
    """Return the identity that a table ``kind = "file"`` describes.

    Raises:
        ConfigError: It has no absolute ``path``.
    """
    return TokenFile(name, "file", table.absolute_path("path"), tokenfile.read_own)


class TokenFile:
    """A token that something else keeps in a file.

    Args:
        name: The identity's name.
        kind: The identity's kind.
        path: The file, absolute.
        read: Returns what it holds, after a look at who else may write or read it.
        clocks: What time it is.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        path: str,
        read: Callable[[str], str],
        clocks: Clocks = CLOCKS,
    ) -> None:
        self.name, self.kind = name, kind
        self._path, self._read, self._clocks = path, read, clocks

    def revision(self) -> Hashable:
        """Return a constant: a look at the file could block, as on a network's file system."""
        return None

    def token(self, audience: str | None) -> Token:
        """Return what stands in the file now; see `Identity.token`."""
        return token_of(
            self._read(self._path), f"the token in {self._path}", audience, self._clocks
        )

    def standing(self) -> Standing:
        """Return whose token stands there; it is renewed by no person, so until is None."""
        try:
            found = self.token(None)
        except IdentityUnavailable as error:
            return Standing("absent", reason=reason_of(error))
        except BrokerError as error:
            return Standing("failed", reason=reason_of(error))
        return Standing("ready", issuer=found.issuer, subject=found.subject)
