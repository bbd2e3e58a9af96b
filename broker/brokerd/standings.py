"""How do the configured identities stand, and which of them needs a person?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TypeGuard

from brokerd.blocking import Blocking
from brokerd.identities.base import Account, PersonalAccount, Standing
from brokershim.errors import BrokerError, IdentityNotFound


def is_personal(identity: Account) -> TypeGuard[PersonalAccount]:
    """Return whether a person logs in to it."""
    return hasattr(identity, "login")


class Standings:
    """The configured identities, as others ask about them.

    Args:
        identities: The configured identities by name, and the backends that people log in to.
        blocking: Runs what may block.
    """

    def __init__(self, identities: Mapping[str, Account], blocking: Blocking) -> None:
        self._identities = identities
        self._blocking = blocking

    @property
    def names(self) -> list[str]:
        """The names of all identities, in order."""
        return sorted(self._identities)

    @property
    def personal(self) -> list[str]:
        """The names of those that a person logs in to, in order."""
        return [name for name in self.names if is_personal(self._identities[name])]

    def get(self, name: str) -> Account:
        """Return an identity.

        Raises:
            IdentityNotFound: None of that name is configured. The message does not repeat it: it
                may be a key that was typed in the wrong place.
        """
        found = self._identities.get(name)
        if found is None:
            raise IdentityNotFound("no identity of that name is configured")
        return found

    async def of(self, name: str) -> Standing:
        """Return how one stands; one that cannot be asked has failed, and the reason says why.

        Raises:
            IdentityNotFound: None of that name is configured.
        """
        identity = self.get(name)
        try:
            return await self._blocking.run(f"identity {name}", identity.standing)
        except BrokerError as error:
            return Standing("failed", reason=error.message)

    async def of_all(self, names: Iterable[str]) -> dict[str, Standing]:
        """Return how some stand, in order; asked at once, so that one that hangs holds up none.

        Raises:
            IdentityNotFound: None of a name is configured.
        """
        ordered = sorted(names)
        found = await asyncio.gather(*map(self.of, ordered))
        return dict(zip(ordered, found, strict=True))

    async def needing_login(self, names: Iterable[str]) -> list[str]:
        """Return those of some identities that a person has to log in to now, in order."""
        found = await self.of_all(set(names).intersection(self.personal))
        return [name for name, standing in found.items() if standing.state == "login"]
