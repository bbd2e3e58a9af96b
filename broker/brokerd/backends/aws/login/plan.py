"""How does a profile become credentials: whose key, and through which roles? (Pure.)

As the AWS command line has it (AWS SDKs and Tools Reference Guide, "Assume role credential
provider"); what would run a program, ask elsewhere, or read what is not ours is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from brokerd.backends.aws.login.base import Keys
from brokerd.backends.aws.login.profiles import Profiles
from brokerd.backends.aws.settings import role
from brokerd.table import Table
from brokershim.errors import ConfigError
from brokershim.reference import is_key

_REFUSED: Mapping[str, str] = {
    "credential_process": "no program is run for it; log in in another way",
    "credential_source": 'use `login = "instance"` or `login = "ecs"`, with `roles`',
    "login_session": 'use `login = "sso"`',
    "sso_session": 'use `login = "sso"`',
    "sso_start_url": 'use `login = "sso"`',
    "web_identity_token_file": 'use `login = "web-identity"` with an identity of kind "file"',
}


@dataclass(frozen=True)
class Role:
    """One role that a profile takes on.

    Attributes:
        arn: Its ARN.
        external_id: What it asks for; None for nothing.
        mfa_serial: The device whose code it asks for; None for none.
        session_name: What it wants its session to be called; None where that is ours to say.
    """

    arn: str
    external_id: str | None
    mfa_serial: str | None
    session_name: str | None


@dataclass(frozen=True)
class Plan:
    """What a profile comes to.

    Attributes:
        keys: The access key that it begins with.
        roles: Those that are taken on, in order.
    """

    keys: Keys
    roles: tuple[Role, ...]

    @property
    def asking(self) -> int | None:
        """The number of the role that wants a code; None where none does."""
        return next((n for n, each in enumerate(self.roles) if each.mfa_serial), None)


def plan(path: str, profiles: Profiles, name: str) -> Plan:
    """Return what a profile comes to.

    Args:
        path: The files, for messages.
        profiles: All there are.
        name: Which of them.

    Raises:
        ConfigError: There is none of that name, or it or one that it builds on says what is not
            accepted, or nothing; or two of its roles want a code.
    """
    table, roles, seen = _table(path, profiles, name), list[Role](), [name]
    while table.optional_text("role_arn") is not None and not (roles and _has_key(table)):
        roles.insert(0, _role(table))
        source = table.text("source_profile")
        if source == seen[-1]:
            break  # its key is in the same profile
        if source in seen:
            raise table.error("source_profile leads back to itself")
        seen.append(source)
        table = _table(path, profiles, source)
    if sum(each.mfa_serial is not None for each in roles) > 1:
        raise table.error("more than one role on the way has mfa_serial: there is one code")
    return Plan(_key(table), tuple(roles))


def _table(path: str, profiles: Profiles, name: str) -> Table:
    found = profiles.get(name)
    if found is None:
        raise ConfigError(f"{path}: there is no profile {name}", hint="see `aws configure list`")
    table = Table(path, f"profile {name}", found)
    for key, hint in _REFUSED.items():
        table.refuse(key, hint)
    return table


def _role(table: Table) -> Role:
    return Role(
        role(table, table.text("role_arn")),
        table.optional_text("external_id"),
        table.optional_text("mfa_serial"),
        table.optional_text("role_session_name"),
    )


def _has_key(table: Table) -> bool:
    return table.optional_text("aws_access_key_id") is not None


def _key(table: Table) -> Keys:
    access, secret = table.text("aws_access_key_id"), table.text("aws_secret_access_key")
    token = table.optional_text("aws_session_token")
    # What cannot be sent would be a fault of ours; a comment behind a key is no part of it.
    if not all(is_key(each) for each in (access, secret, token) if each is not None):
        raise table.error("its access key, or what goes along with it, is none that AWS can have")
    return Keys(access, secret, token, None)
