"""How does a person's login at a Vault go on, day after day? (Vault, "JWT/OIDC auth method".)"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace

from brokerd.backends.keeper import Keeper
from brokerd.backends.vault.client import Vault, hvac
from brokerd.backends.vault.faults import translated
from brokerd.backends.vault.login.auth import auth_of, looked_up
from brokerd.backends.vault.login.base import Auth
from brokerd.backends.vault.login.browsing import Door
from brokerd.backends.vault.login.enrolled import Enrolled
from brokerd.backends.vault.login.kept import Kept
from brokerd.backends.vault.login.lookup import lookup
from brokerd.backends.vault.login.person import Person
from brokerd.backends.vault.login.settings import auth_mount
from brokerd.backends.vault.servers import servers
from brokerd.identities.base import Identity
from brokerd.identities.oidc.clocks import Clocks
from brokerd.table import Table

_PORT = 8250
"""As Vault's own command line has it."""
_LAST_PORT = 65535
_REFUSED = (hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest)


class PersonalLogin:
    """Goes on with the token of who is logged in.

    Args:
        account: Who that is.
        clocks: What time it is.
    """

    kind = "oidc"

    def __init__(self, account: Person, clocks: Clocks) -> None:
        self.account, self._clocks = account, clocks
        self._served: Kept | None = None

    def revision(self) -> Hashable:
        """Return the account's."""
        return self.account.revision

    def login(self, vault: Vault) -> Auth:
        """Return the token of who is logged in, with as much life as it can have.

        Raises:
            LoginRequired: Nobody is, or the login is over.
            KeyringUnavailable: The keyring refuses.
            BrokerError: What the server says.
        """
        kept = self.account.current()
        again, self._served = kept == self._served, kept
        auth = self._renewed(vault, kept) if kept.renewable else None
        if auth is None:
            auth = self._known(vault, kept)
        if auth is None:
            self.account.forget(kept)
            raise self.account.required("the login is over at")
        # Asked for once more, renewing does not lengthen it any more: now its end is known.
        self.account.ends(auth.expires_at if again or not auth.renewable else None)
        return replace(auth, ours=True, lasting=True)

    def _renewed(self, vault: Vault, kept: Kept) -> Auth | None:
        """Return it with a new life; None where it is not renewed."""
        asked_at = self._clocks.boot()
        with translated("renewing the login's token"):
            try:
                client = vault.client(kept.token)
                answer: object = client.auth.token.renew_self(increment=f"{kept.life:.0f}s")
            except _REFUSED:
                return None
        return auth_of(answer, asked_at)

    def _known(self, vault: Vault, kept: Kept) -> Auth | None:
        """Return it as the server knows it, or as it was given; None where it is over."""
        if not kept.looks:
            return self._as_given(kept)
        asked_at = self._clocks.boot()
        answer = lookup(vault, kept.token)
        return None if answer is None else looked_up(answer, kept.token, asked_at)

    def _as_given(self, kept: Kept) -> Auth | None:
        left = kept.until - self._clocks.wall()
        if left <= 0:
            return None
        ends = self._clocks.boot() + left
        return Auth(kept.token, kept.accessor or None, ends, kept.life, kept.renewable)


def build(name: str, table: Table, identities: Mapping[str, Identity]) -> PersonalLogin:  # noqa: ARG001 - as of every login
    """Return the login that a table with ``login = "oidc"`` describes.

    Raises:
        ConfigError: Its port is none, or what else `servers` says.
    """
    port = table.number("callback_port") or _PORT
    if port > _LAST_PORT:
        raise table.error("callback_port is no port")
    found, clocks = servers(table), Clocks()
    door = Door(auth_mount(table, "oidc"), table.optional_text("role"), port, clocks.boot)
    bound = {
        "addresses": " ".join(found.addresses),
        "namespace": found.namespace or "",
        "mount": door.mount,
        "role": door.role or "",
    }
    keeper = Keeper(Kept, Enrolled(name), bound)
    return PersonalLogin(Person(Vault(name, found), door, keeper, clocks), clocks)
