"""Which ways to have credentials at AWS are there, and which module is each?"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.login.base import Source
from brokerd.identities.base import Identity
from brokerd.table import Table

LOGINS = {
    "web-identity": "brokerd.backends.aws.login.web_identity",
    "sso": "brokerd.backends.aws.login.sso",
    "profile": "brokerd.backends.aws.login.profile",
    "instance": "brokerd.backends.aws.login.instance",
    "ecs": "brokerd.backends.aws.login.container",
    "pod-identity": "brokerd.backends.aws.login.container",
}
"""Each module has ``build(name, table, identities, clients) -> Source``; a closed table, as in
`kinds`."""


def source(table: Table, identities: Mapping[str, Identity], clients: Clients) -> Source:
    """Return the login that a backend's table names; nobody is asked.

    Raises:
        ConfigError: It names none, or describes it wrongly.
    """
    login = importlib.import_module(LOGINS[table.choice("login", tuple(LOGINS))])
    found: Source = login.build(clients.name, table, identities, clients)
    return found
