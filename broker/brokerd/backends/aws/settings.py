"""Where is AWS asked, and which roles are taken on there? Read from a backend's table. (Pure.)"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from brokerd.http import check_url
from brokerd.table import Table
from brokerd.trust import Trust
from brokershim.errors import ServerUnproven

SERVICES = ("secretsmanager", "sts", "iam", "sso", "sso-oidc", "imds")
"""Those whose endpoint can be named, as botocore has them; "imds" is a machine's own."""
_REGION = re.compile(r"[a-z]{2,}(-[a-z]+){1,3}-[0-9]{1,2}", re.ASCII)
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}", re.ASCII)
_EXAMPLES = {_REGION: "eu-central-1", _ROLE: "arn:aws:iam::123456789012:role/dev"}
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_SOURCE_IDENTITY = re.compile(r"(?!aws:)[\w+=,.@-]{2,64}", re.ASCII)
INSTANCE = "http://169.254.169.254"
"""Where an instance asks for its own role (EC2 User Guide, "Access instance metadata")."""
_INSTANCES = frozenset({INSTANCE, "http://[fd00:ec2::254]"})
_HOUR = 3600.0
_SHORTEST, _LONGEST = 900.0, 12 * _HOUR


@dataclass(frozen=True)
class Settings:
    """How one backend reaches AWS, and as whom (STS API Reference, "AssumeRole").

    Attributes:
        region: Such as ``eu-central-1``.
        roles: ARNs of the roles that are taken on after the login, in order.
        external_id: What the last of them asks for; None for nothing.
        source_identity: Who is behind it all, for CloudTrail; None to say nothing.
        duration: Of a role's session, in seconds.
        longest: Of a session that is taken on with the last role's credentials, in seconds.
        scope: Whether each secret is read by a session that may read it alone.
        use_fips: Whether endpoints are those of FIPS 140.
        use_dualstack: Whether they have addresses of IPv6, too.
        endpoints: URLs by service, in the place of AWS's own.
        trust: How they prove who they are.
    """

    region: str
    roles: tuple[str, ...] = ()
    external_id: str | None = None
    source_identity: str | None = None
    duration: float = _HOUR
    longest: float = _HOUR
    scope: bool = False
    use_fips: bool = False
    use_dualstack: bool = False
    endpoints: Mapping[str, str] = field(default_factory=dict[str, str])
    trust: Trust = field(default_factory=Trust)


def read(table: Table) -> Settings:
    """Return what a backend's table says.

    Raises:
        ConfigError: The region, a role, a duration, an endpoint or the authorities' file is none;
            or a session cannot be had as it says.
    """
    roles = tuple(role(table, each, "roles") for each in table.texts("roles"))
    return Settings(
        region=region(table),
        roles=roles,
        external_id=_external_id(table, roles),
        source_identity=_optional(table, "source_identity", _SOURCE_IDENTITY),
        duration=_duration(table, roles),
        longest=_longest(table, roles),
        scope=_scope(table, roles),
        use_fips=table.flag("use_fips"),
        use_dualstack=table.flag("use_dualstack"),
        endpoints=_endpoints(table),
        trust=_trust(table),
    )


def region(table: Table, key: str = "region") -> str:
    """Return the region that a table names.

    Raises:
        ConfigError: It is none.
    """
    return _matching(table, key, _REGION, table.text(key))


def role(table: Table, arn: str, key: str = "role_arn") -> str:
    """Return a role's ARN unchanged.

    Raises:
        ConfigError: It is none.
    """
    return _matching(table, key, _ROLE, arn)


def session_seconds(table: Table, default: float) -> float:
    """Return how long a role's session is to last (``duration``), in seconds.

    Raises:
        ConfigError: STS gives none that long or short.
    """
    found = table.seconds("duration") or default
    if not _SHORTEST <= found <= _LONGEST:
        raise table.error("duration is not from 15m to 12h, as the session of a role can be")
    return found


def check_session(table: Table, seconds: float, longest: float) -> None:
    """Refuse a session that is to last longer than AWS lets it; raises `ConfigError`."""
    if seconds > longest:
        raise table.error("duration is over 1h, and AWS gives a role's role no longer than that")


def _duration(table: Table, roles: tuple[str, ...]) -> float:
    found = session_seconds(table, _HOUR)
    if roles:
        check_session(table, found, _longest(table, roles[:-1]))
    return found


def _longest(table: Table, before: tuple[str, ...]) -> float:
    # "Role chaining limits your session to a maximum of one hour" (IAM User Guide, "Roles terms
    # and concepts"); of the logins, only a profile may hold the keys of a user.
    return _LONGEST if table.text("login") == "profile" and not before else _HOUR


def _scope(table: Table, roles: tuple[str, ...]) -> bool:
    takes_role = bool(roles) or table.text("login") == "web-identity"
    found = table.flag("scope", takes_role)
    if found and not takes_role:
        raise table.error("scope needs a role that is taken on; name one in roles")
    return found


def _external_id(table: Table, roles: tuple[str, ...]) -> str | None:
    found = _optional(table, "external_id", _EXTERNAL_ID)
    if found is not None and not roles:
        raise table.error("external_id is for the last of roles, and there are none")
    return found


def _endpoints(table: Table) -> dict[str, str]:
    found = table.scalars("endpoints")
    for service, url in found.items():
        if service not in SERVICES:
            raise table.error(f"endpoints.{service} is none of {', '.join(SERVICES)}")
        if not isinstance(url, str):
            raise table.error("endpoints holds what is no text")
        if service != "imds" or url not in _INSTANCES:
            check_url(f"{table.path}: {table.name}: endpoints.{service}", url)
    # botocore would not raise before the first request (its endpoint rules: "FIPS and custom
    # endpoint are not supported").
    if found and (table.flag("use_fips") or table.flag("use_dualstack")):
        raise table.error("endpoints goes with neither use_fips nor use_dualstack: name the URLs")
    return {service: str(url).rstrip("/") for service, url in found.items()}


def _trust(table: Table) -> Trust:
    ca_file = table.optional_text("ca_file")
    if ca_file is None:
        return Trust()
    if not os.path.isabs(ca_file):
        raise table.error("ca_file is no absolute path")
    trust = Trust(ca_file)
    try:
        trust.context()
    except ServerUnproven as error:
        raise table.error(f"ca_file: {error.message}") from None
    return trust


def _optional(table: Table, key: str, shape: re.Pattern[str]) -> str | None:
    found = table.optional_text(key)
    return None if found is None else _matching(table, key, shape, found)


def _matching(table: Table, what: str, shape: re.Pattern[str], text: str) -> str:
    if not shape.fullmatch(text):
        example = f', as "{_EXAMPLES[shape]}" is' if shape in _EXAMPLES else ""
        raise table.error(f"{what} is none that AWS can have{example}")
    return text
