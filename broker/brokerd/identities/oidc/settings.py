"""What may stand in ``[identity.NAME]`` of kind oidc, and what does it mean? (Pure.)"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import urlsplit

from brokerd.http import check_url
from brokerd.table import Table

Keep = Literal["keyring", "memory"]
_SCOPE = re.compile(r"[!#-\[\]-~]+")  # RFC 6749, section 3.3
_WISHES = ("openid", "email", "offline_access")
"""Who it is, a name that a person knows, and a login that outlives its first token."""


@dataclass(frozen=True)
class Settings:
    """One configured OpenID provider, and who we are to it.

    Attributes:
        name: The identity's name.
        issuer: The provider, exactly as its tokens name it.
        client_id: This program's name there. It is a public client: it has no secret
            (RFC 8252, section 8.5: one that is installed on every machine is none).
        scopes: What is asked for; empty for what is useful and offered.
        resources: Audiences that an access token may be wanted for (RFC 8707): a person agrees
            to them at the login.
        keep: Where the refresh token stands.
    """

    name: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    keep: Keep = "keyring"

    def wanted(self, offered: frozenset[str] | None) -> tuple[str, ...]:
        """Return the scopes to ask for.

        Args:
            offered: Those that the provider says it knows; None where it does not say.
        """
        if self.scopes or offered is None:
            return self.scopes or _WISHES
        return tuple(each for each in _WISHES if each in offered or each == "openid")


def read(name: str, table: Table) -> Settings:
    """Return what a table describes.

    Raises:
        ConfigError: Naming the file and the key.
    """
    table.refuse("client_secret", "register a public client (native app, PKCE): it has no secret")
    return Settings(
        name=name,
        issuer=_issuer(table),
        client_id=table.text("client_id"),
        scopes=_scopes(table),
        resources=_resources(table),
        keep=cast(Keep, table.choice("keep", ("keyring", "memory"), "keyring")),
    )


def _issuer(table: Table) -> str:
    issuer = check_url(f"{table.path}: {table.name}: issuer", table.text("issuer"))
    if urlsplit(issuer).query:
        raise table.error("issuer has a query, which no issuer has")
    return issuer


def _scopes(table: Table) -> tuple[str, ...]:
    scopes = table.texts("scopes")
    if not all(_SCOPE.fullmatch(each) for each in scopes):
        raise table.error("scopes holds what is no scope")
    if scopes and "openid" not in scopes:
        raise table.error('scopes lacks "openid", without which nobody says who you are')
    return scopes


def _resources(table: Table) -> tuple[str, ...]:
    resources = table.texts("resources")
    for each in resources:
        parts = urlsplit(each)
        if not parts.scheme or parts.fragment or not each.isprintable():
            raise table.error("resources holds what is no absolute URI (RFC 8707, section 2)")
    return resources
