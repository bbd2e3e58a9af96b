"""How does a person's login at IAM Identity Center become credentials, day after day?"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

from brokerd.backends.aws import settings
from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.login.kept import Kept
from brokerd.backends.aws.login.person import Person
from brokerd.backends.aws.login.portal import Portal
from brokerd.backends.aws.login.role import AccountRole
from brokerd.backends.keeper import Keeper
from brokerd.http import check_url
from brokerd.identities.base import Identity
from brokerd.identities.oidc.clocks import Clocks
from brokerd.keyring import Entry
from brokerd.table import Table

_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_ROLE = re.compile(r"[\w+=,.@-]{1,32}", re.ASCII)
_HINT = "unlock the keyring, then try again; the login stands nowhere else"


@dataclass(frozen=True)
class SingleSignOn:
    """Goes on with the login of a person.

    Attributes:
        account: Who that is.
    """

    account: Person
    kind: str = "sso"

    def revision(self) -> Hashable:
        """Return the account's."""
        return self.account.revision

    def keys(self) -> Keys:
        """Return credentials of the person's role; raises as `Person.keys`."""
        return self.account.keys()


def build(
    name: str,
    table: Table,
    identities: Mapping[str, Identity],  # noqa: ARG001 - as of every login
    clients: Clients,
) -> SingleSignOn:
    """Return the login that a table with ``login = "sso"`` describes.

    Raises:
        ConfigError: The start page, its region, the account or the role is none.
    """
    region, start_url = settings.region(table, "sso_region"), _start_url(table)
    bound = {
        "start_url": start_url,
        "region": region,
        "endpoint": clients.settings.endpoints.get("sso-oidc", ""),
        "portal": clients.settings.endpoints.get("sso", ""),
    }
    entry = Entry(f"backend/{name}", f"the login of {name}", _HINT)
    clocks, there = Clocks(), Clients(name, replace(clients.settings, region=region))
    portal = Portal(start_url, there, clocks)
    keeper = Keeper(Kept, entry, bound)
    return SingleSignOn(Person(name, portal, _role(table, clients), keeper, clocks))


def _start_url(table: Table) -> str:
    found = table.text("start_url").partition("#")[0]  # the page shows itself with one
    return check_url(f"{table.path}: {table.name}: start_url", found)


def _role(table: Table, clients: Clients) -> AccountRole:
    account_id, name = table.text("account_id"), table.text("role_name")
    if not _ACCOUNT.fullmatch(account_id):
        raise table.error("account_id is none: it has twelve digits")
    if not _ROLE.fullmatch(name):
        raise table.error("role_name is no name of a permission set")
    return AccountRole(account_id, name, clients)
