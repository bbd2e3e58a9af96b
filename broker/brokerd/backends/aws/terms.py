"""What does the table of a secret say of where it is at AWS, or of what is made there? (Pure.)"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, replace

from brokerd.backends.aws.bedrock import hosts
from brokerd.backends.aws.settings import Settings, role, session_seconds
from brokerd.backends.terms import secret_of
from brokerd.model import BoundedBy, Delivery, Secret
from brokerd.table import Table
from brokershim.errors import ConfigError

CURRENT = "AWSCURRENT"
_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_ARN = re.compile(
    r"arn:[a-z-]+:secretsmanager:(?P<region>[a-z0-9-]+):[0-9]{12}:secret:"
    r"[A-Za-z0-9/_+=.@-]{1,512}-[A-Za-z0-9]{6}"
)
_STAGE = re.compile(r"[A-Za-z0-9/_+=.@-]{1,256}")
_VERSION = re.compile(r"[A-Za-z0-9-]{32,64}")
_ID_HINT = 'its name, as in "prod/openai", or its whole ARN with the six characters at the end'
_SECONDS = 900.0
MAX_POLICY = 2048
"""Characters of a session policy (STS API Reference, "AssumeRole", Policy)."""


@dataclass(frozen=True)
class StaticTerms:
    """A key that Secrets Manager keeps.

    Attributes:
        secret: Its description.
        secret_id: Its name or its ARN there.
        field: Which member of the JSON object that it is; None where all of it is the key.
        stage: The label that its version must have; None where one is pinned, whatever its labels.
        version_id: The version that is pinned; None for whichever has the label.
        max_staleness: How many seconds it is served after AWS was last heard to have no other.
    """

    secret: Secret
    secret_id: str
    field: str | None
    stage: str | None
    version_id: str | None
    max_staleness: float

    @property
    def key(self) -> Hashable:
        """What tells its key, and how long that is served, apart from others."""
        return self.secret_id, self.field, self.stage, self.version_id, self.max_staleness

    @property
    def is_pinned(self) -> bool:
        """Whether no rotation changes which version it is."""
        return self.version_id is not None or self.stage != CURRENT


@dataclass(frozen=True)
class StsTerms:
    """Credentials of AWS that are made for one lease.

    Attributes:
        secret: Its description.
        role_arn: The role that they are of.
        duration: How long they live, in seconds.
        policy: The session policy that narrows the role, as JSON; None where nothing does.
    """

    secret: Secret
    role_arn: str
    duration: float
    policy: str | None


Terms = StaticTerms | StsTerms


def read(table: Table, name: str, backend: str, settings: Settings, max_staleness: float) -> Terms:
    """Return what the table of one secret says.

    Args:
        table: ``[secret."NAME"]``.
        name: The secret's name; its first part presets the provider.
        backend: The configured name of its backend.
        settings: The backend's.
        max_staleness: In seconds, where the table says nothing of it.

    Raises:
        ConfigError: Naming the file, the table and the key.
    """
    if table.choice("engine", ("secretsmanager", "sts"), "secretsmanager") == "sts":
        return _made(table, name, backend, settings)
    version_id = _matching(table, "version_id", _VERSION)
    stage = _matching(table, "stage", _STAGE)
    return StaticTerms(
        secret=secret_of(table, name, backend, BoundedBy.BROKER),
        secret_id=_secret_id(table, settings.region),
        field=table.optional_text("field"),
        stage=CURRENT if stage is None and version_id is None else stage,
        version_id=version_id,
        max_staleness=table.seconds("max_staleness") or max_staleness,
    )


def is_arn(secret_id: str) -> bool:
    """Return whether a secret is named by its ARN."""
    return secret_id.startswith("arn:")


def _made(table: Table, name: str, backend: str, settings: Settings) -> StsTerms:
    role_arn, duration = role(table, table.text("role_arn")), session_seconds(table, _SECONDS)
    policy = table.document("policy")
    if policy is not None and len(policy) > MAX_POLICY:
        raise table.error(f"policy is longer than {MAX_POLICY} characters")
    secret = secret_of(table, name, backend, BoundedBy.PROVIDER, hosts(settings))
    signs = replace(secret, delivery=Delivery(signs=True))
    return StsTerms(signs, role_arn, duration, policy)


def _secret_id(table: Table, region: str) -> str:
    """Return a name or an ARN that means one secret, and not one that begins alike."""
    given = table.text("secret_id")
    arn = _ARN.fullmatch(given)
    if arn is None and not _NAME.fullmatch(given):
        raise ConfigError(
            f"{table.path}: {table.name}: secret_id is neither a name nor an ARN", hint=_ID_HINT
        )
    if arn is not None and arn["region"] != region:
        raise ConfigError(
            f"{table.path}: {table.name}: secret_id is in {arn['region']}, its backend in {region}",
            hint="write another [backend.NAME] for that region",
        )
    return given


def _matching(table: Table, key: str, pattern: re.Pattern[str]) -> str | None:
    found = table.optional_text(key)
    if found is not None and not pattern.fullmatch(found):
        raise table.error(f"{key} is none that Secrets Manager has")
    return found
