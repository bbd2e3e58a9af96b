"""How does a profile of the AWS command line become credentials?"""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from functools import partial

from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.login import profiles
from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.login.coded import Coded
from brokerd.backends.aws.login.plan import Plan, plan
from brokerd.identities.base import Identity
from brokerd.identities.oidc.clocks import Clocks
from brokerd.table import Table


@dataclass(frozen=True)
class Profile:
    """Reads a profile anew each time, and takes on its roles.

    Attributes:
        account: Who has typed a code for it, where it wants one.
    """

    account: Coded
    kind: str = "profile"

    def revision(self) -> Hashable:
        """Return the account's: what changes in the files shows once the keys are taken anew."""
        return self.account.revision

    def keys(self) -> Keys:
        """Return credentials of the profile's last role; raises as `Coded.keys`."""
        return self.account.keys()


def build(
    name: str,  # noqa: ARG001 - as of every login
    table: Table,
    identities: Mapping[str, Identity],  # noqa: ARG001
    clients: Clients,
) -> Profile:
    """Return the login that a table with ``login = "profile"`` describes; no file is read yet.

    Raises:
        ConfigError: It names no profile, or a file by no absolute path.
    """
    profile = table.text("profile")
    config = _path(table, "config_file", profiles.config_path())
    credentials = _path(table, "credentials_file", profiles.credentials_path())
    return Profile(
        Coded(profile, partial(_planned, config, credentials, profile), clients, Clocks())
    )


def _planned(config: str, credentials: str, profile: str) -> Plan:
    return plan(f"{config}, {credentials}", profiles.read(config, credentials), profile)


def _path(table: Table, key: str, default: str) -> str:
    found = table.optional_text(key)
    if found is not None and not os.path.isabs(found):
        raise table.error(f"{key} is no absolute path")
    return found or default
