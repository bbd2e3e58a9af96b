"""Which secrets are keys at AWS, and how does it serve as a backend?"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

from brokerd.backends.aws import logins, terms
from brokerd.backends.aws import settings as settings_of
from brokerd.backends.aws.chain import Roles
from brokerd.backends.aws.check import Checks
from brokerd.backends.aws.clients import Clients
from brokerd.backends.aws.policies import Policies
from brokerd.backends.aws.reading import Reading
from brokerd.backends.aws.rotation import Rotations
from brokerd.backends.aws.secretsmanager import StaticSecrets
from brokerd.backends.aws.settings import Settings
from brokerd.backends.aws.sts import StsCredentials
from brokerd.backends.aws.terms import StaticTerms, StsTerms, Terms
from brokerd.backends.aws.transport import one_question
from brokerd.backends.people import Finding
from brokerd.identities.base import Identity, PersonalAccount
from brokerd.model import Credential, Secret, Whom
from brokerd.table import Table
from brokershim.errors import BackendRefused, LeaseNotFound, SecretNotFound

_WATCH = 60.0
"""Seconds from one look for a newer key to the next."""
_MAX_STALENESS = 900.0


class AwsBackend:
    """Static keys of Secrets Manager, and credentials of STS that are made for one lease.

    Args:
        roles: Asks AWS, logged in.
        settings: Where, and as which roles.
        account: What a person logs in to; None where nobody does.
        terms: Its secrets by name.
        watch_seconds: How often it is asked for newer keys, in seconds.
    """

    def __init__(
        self,
        roles: Roles,
        settings: Settings,
        account: PersonalAccount | None,
        terms: Mapping[str, Terms],
        watch_seconds: float,
    ) -> None:
        self.watch_seconds, self.account = watch_seconds, account
        self._roles, self._terms = roles, terms
        policies = Policies(settings.region, settings.scope)
        reading = Reading(roles, policies)
        self._static = StaticSecrets(reading)
        self._made = StsCredentials(roles)
        self._rotations = Rotations(roles, reading, policies)
        self._checks = Checks(roles, reading, policies, list(terms.values()))

    def revision(self) -> Hashable:
        """Return what changes with who is logged in."""
        return self._roles.revision()

    def generation(self) -> Hashable:
        """Return the same: what STS made lives on, whoever is logged in; it is used no more."""
        return self.revision()

    def key_of(self, name: str) -> Hashable:
        """Return where a static key is; the name of one that is made for each lease."""
        found = self._terms.get(name)
        return found.key if isinstance(found, StaticTerms) else name

    def describe(self, name: str) -> Secret:
        """Return what the configuration says of a secret.

        Raises:
            SecretNotFound: It says nothing.
        """
        return self._of(name).secret

    @one_question()
    def fetch(self, name: str) -> Credential:
        """Return a static key; raises as `StaticSecrets.fetch`."""
        return self._static.fetch(self._static_of(name))

    def makes(self, name: str) -> bool:
        """Return whether a secret is made for each lease, by STS."""
        return isinstance(self._terms.get(name), StsTerms)

    def prepare(self, name: str) -> None:
        """Return None: nothing but time ends what STS makes."""
        self._of(name)

    @one_question()
    def make(self, name: str, risk: str | None, whom: Whom) -> Credential:
        """Return credentials that nobody had before; raises as `StsCredentials.make`."""
        del risk
        found = self._of(name)
        if isinstance(found, StsTerms):
            return self._made.make(found, whom)
        raise BackendRefused(f"{name} is kept in Secrets Manager, and made for nobody")

    def renew(self, upstream: str, seconds: float) -> float:
        """Raise `LeaseNotFound`: what STS makes does not live longer than it said at first."""
        del upstream, seconds
        raise LeaseNotFound("credentials of STS are not renewed", hint="acquire another lease")

    def revoke(self, upstream: str) -> None:
        """Do nothing: nothing that is given here can be ended before its time."""

    @one_question()
    def newest(self, name: str) -> str:
        """Return the version of a static key; empty for what is made for each lease.

        Raises:
            BrokerError: As `StaticSecrets.newest`.
        """
        found = self._of(name)
        return self._static.newest(found) if isinstance(found, StaticTerms) else ""

    @one_question()
    def rotate(self, name: str) -> str:
        """Ask for a newer key; raises as `Rotations.begin`."""
        return self._rotations.begin(self._static_of(name))

    @one_question()
    def has_rotated(self, name: str, version: str) -> bool:
        """Return whether a version is in use now; raises as `Rotations.is_done`."""
        return self._rotations.is_done(self._static_of(name), version)

    @one_question()
    def check(self) -> list[Finding]:
        """Return what the login may do; raises as `Checks.make`."""
        return self._checks.make()

    def _of(self, name: str) -> Terms:
        found = self._terms.get(name)
        if found is None:
            raise SecretNotFound(f"there is no secret {name}")
        return found

    def _static_of(self, name: str) -> StaticTerms:
        found = self._of(name)
        if isinstance(found, StsTerms):
            raise BackendRefused(
                f"{name} is made anew for each lease", hint="a new lease of it is a new one"
            )
        return found


def build(
    name: str,
    table: Table,
    secrets: Mapping[str, Table],
    identities: Mapping[str, Identity],
) -> AwsBackend:
    """Return the backend that a table describes; AWS is not asked.

    Args:
        name: Its configured name.
        table: ``[backend.NAME]``.
        secrets: The tables of its secrets by name.
        identities: The configured identities by name.

    Raises:
        ConfigError: Naming the file, the table and the key.
    """
    settings = settings_of.read(table)
    clients = Clients(name, settings)
    source = logins.source(table, identities, clients)
    watch = table.seconds("watch") or _WATCH
    stale = table.seconds("max_staleness") or _MAX_STALENESS
    found = {each: terms.read(secrets[each], each, name, settings, stale) for each in secrets}
    for each, secret in found.items():
        if isinstance(secret, StsTerms):
            settings_of.check_session(secrets[each], secret.duration, settings.longest)
        else:
            _check_staleness(secrets[each], secret, watch)
    account: PersonalAccount | None = getattr(source, "account", None)
    return AwsBackend(Roles(source, clients), settings, account, found, watch)


def _check_staleness(table: Table, secret: StaticTerms, watch: float) -> None:
    """Refuse what would make every key stale before AWS is asked again."""
    if secret.max_staleness < 2 * watch:
        raise table.error("max_staleness, its own or its backend's, is below twice `watch`")
