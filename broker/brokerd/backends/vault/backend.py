"""Which secrets are keys of a Vault or an OpenBao, and how does it serve as a backend?"""

from __future__ import annotations

import importlib
from collections.abc import Hashable, Mapping

from brokerd.backends.people import Finding
from brokerd.backends.vault import terms
from brokerd.backends.vault.check import Checks
from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.dynamic import DynamicSecrets
from brokerd.backends.vault.kv import KvSecrets
from brokerd.backends.vault.login.base import Method, is_enrolled, is_personal, proves
from brokerd.backends.vault.mounts import Mounts
from brokerd.backends.vault.servers import servers
from brokerd.backends.vault.session import Session
from brokerd.backends.vault.terms import DynamicTerms, KvTerms, Terms
from brokerd.identities.base import Identity, PersonalAccount
from brokerd.model import Credential, Secret, Whom
from brokerd.table import Table
from brokershim.errors import BackendRefused, SecretNotFound, UsageError

LOGINS = {
    "jwt": "brokerd.backends.vault.login.jwt",
    "oidc": "brokerd.backends.vault.login.oidc",
    "approle": "brokerd.backends.vault.login.approle",
    "cert": "brokerd.backends.vault.login.cert",
    "kubernetes": "brokerd.backends.vault.login.kubernetes",
    "token": "brokerd.backends.vault.login.token",
}
"""Each module has ``build(name, table, identities) -> Method``; a closed table, as in `kinds`."""
_WATCH = 30.0
"""Seconds from one look for a newer key to the next."""
_MAX_STALENESS = 900.0


class VaultBackend:
    """Static keys, and keys that are made for one lease.

    Args:
        name: Its configured name.
        session: Its login.
        method: How that is made.
        terms: Its secrets by name.
        watch_seconds: How often it is asked for newer keys, in seconds.
    """

    def __init__(
        self,
        name: str,
        session: Session,
        method: Method,
        terms: Mapping[str, Terms],
        watch_seconds: float,
    ) -> None:
        self.watch_seconds = watch_seconds
        self.wants = method.wants if is_enrolled(method) else ""
        self.account: PersonalAccount | None = method.account if is_personal(method) else None
        self._name, self._session, self._method, self._terms = name, session, method, terms
        mounts = Mounts(name, session)
        self._kv, self._dynamic = KvSecrets(mounts, session), DynamicSecrets(name, session)
        self._checks = Checks(session, mounts, list(terms.values()))

    def revision(self) -> Hashable:
        """Return what changes with who is logged in.

        Not with each login: a static key is no worse for the end of the token that it was read
        with. Should the server end that one, the next look for a newer key tells what we still get.
        """
        return self._method.revision()

    def generation(self) -> Hashable:
        """Return what changes with that, and where a login ended before its time."""
        return self._session.generation()

    def key_of(self, name: str) -> Hashable:
        """Return where a static key is; the name of one that is made for each lease."""
        found = self._terms.get(name)
        if not isinstance(found, KvTerms):
            return name
        # The last, too: what one secret may be served for long must not be so as another.
        return found.mount, found.path, found.field, found.version, found.max_staleness

    def describe(self, name: str) -> Secret:
        """Return what the configuration says of a secret.

        Raises:
            SecretNotFound: It says nothing.
        """
        return self._of(name).secret

    def fetch(self, name: str) -> Credential:
        """Return a static key; raises as `KvSecrets.fetch`."""
        found = self._of(name)
        if isinstance(found, KvTerms):
            return self._kv.fetch(found)
        # Nobody would end it: only what is made for a lease is in the journal.
        raise BackendRefused(
            f"{name} is made anew for each lease", hint="a new lease of it is a new one"
        )

    def makes(self, name: str) -> bool:
        """Return whether a key is made for each lease, by an engine."""
        return isinstance(self._terms.get(name), DynamicTerms)

    def prepare(self, name: str) -> str | None:
        """Return what ends all that is made from now on; raises as `DynamicSecrets.prepare`."""
        return self._dynamic.prepare() if self.makes(name) else None

    def make(self, name: str, risk: str | None, whom: Whom) -> Credential:
        """Return a key that nobody had before; raises as `DynamicSecrets.make`."""
        del whom  # the server knows the daemon only
        found = self._of(name)
        if isinstance(found, DynamicTerms):
            return self._dynamic.make(found, risk)
        raise BackendRefused(f"{name} is kept in a KV engine, and made for nobody")

    def renew(self, upstream: str, seconds: float) -> float:
        """Let a key live on; raises as `DynamicSecrets.renew`."""
        return self._dynamic.renew(upstream, seconds)

    def revoke(self, upstream: str) -> None:
        """End what was made for a lease; raises as `DynamicSecrets.revoke`."""
        self._dynamic.revoke(upstream)

    def newest(self, name: str) -> str:
        """Return the version of a static key; empty for one that is made for each lease.

        Raises:
            BrokerError: As `KvSecrets.newest`.
        """
        found = self._of(name)
        return self._kv.newest(found) if isinstance(found, KvTerms) else ""

    def due_at(self) -> float | None:
        """Return when the login is to be renewed."""
        return self._session.due_at()

    def tend(self) -> None:
        """Renew the login; raises as `Session.tend`."""
        self._session.tend()

    def close(self) -> None:
        """Give the login back; raises as `Session.close`."""
        self._session.close()

    def check(self) -> list[Finding]:
        """Return what the login may do; raises as `Checks.make`."""
        return self._checks.make()

    def enrolled(self) -> bool:
        """Return whether it has what it logs in with; raises `KeyringUnavailable`."""
        return is_enrolled(self._method) and self._method.enrolled()

    def enrol(self, value: str) -> None:
        """Keep what it logs in with; raises as `EnrolledMethod.enrol`."""
        if not is_enrolled(self._method):
            raise UsageError(f"{self._name} logs in with nothing that it has to be given")
        self._method.enrol(value)

    def _of(self, name: str) -> Terms:
        found = self._terms.get(name)
        if found is None:
            raise SecretNotFound(f"there is no secret {name}")
        return found


def build(
    name: str,
    table: Table,
    secrets: Mapping[str, Table],
    identities: Mapping[str, Identity],
) -> VaultBackend:
    """Return the backend that a table describes; no server is asked.

    Args:
        name: Its configured name.
        table: ``[backend.NAME]``.
        secrets: The tables of its secrets by name.
        identities: The configured identities by name.

    Raises:
        ConfigError: Naming the file, the table and the key.
    """
    vault = Vault(name, servers(table))
    login = importlib.import_module(LOGINS[table.choice("login", tuple(LOGINS))])
    method: Method = login.build(name, table, identities)
    if proves(method) and any(each.startswith("http:") for each in vault.servers.addresses):
        raise table.error("login cert shows a certificate in TLS, and an address is not https")
    watch = table.seconds("watch") or _WATCH
    stale = table.seconds("max_staleness") or _MAX_STALENESS
    found = {each: terms.read(secrets[each], each, name, stale) for each in secrets}
    for each, secret in found.items():
        _check_staleness(secrets[each], secret, watch)
    return VaultBackend(name, Session(vault, method), method, found, watch)


def _check_staleness(table: Table, secret: Terms, watch: float) -> None:
    """Refuse what would make every key stale before the server is asked again."""
    if isinstance(secret, KvTerms) and secret.max_staleness < 2 * watch:
        raise table.error("max_staleness, its own or its backend's, is below twice `watch`")
