"""Which secrets are keys that a provider gives for an identity?"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

from brokerd.backends.federation.exchange import Exchange
from brokerd.backends.federation.formats import FORMATS, TOKEN_TYPE, Format
from brokerd.backends.terms import MAX_TTL, described, hosts_of
from brokerd.http import check_url
from brokerd.identities.base import Identity
from brokerd.kinds import identity_of
from brokerd.model import BoundedBy, Credential, Delivery, Secret
from brokerd.providers import PROVIDERS
from brokerd.table import Table
from brokershim.errors import SecretNotFound

_DELIVERIES = {"bearer": None, "in-place": Delivery()}


@dataclass(frozen=True)
class Terms:
    """One secret.

    Attributes:
        secret: Its description.
        fields: What its exchange is asked with, but for the identity's token.
    """

    secret: Secret
    fields: tuple[tuple[str, str], ...]


class FederationBackend:
    """Keys that a provider gives for an identity's token, and that die by themselves.

    Args:
        exchange: How they are had.
        terms: Its secrets by name.
    """

    def __init__(self, exchange: Exchange, terms: Mapping[str, Terms]) -> None:
        self._exchange = exchange
        self._terms = terms

    def revision(self) -> Hashable:
        """Return the identity's: keys are of who was logged in as they were made."""
        return self._exchange.identity.revision()

    def key_of(self, name: str) -> Hashable:
        """Return what its exchange is made of: endpoint, identity, audience and fields."""
        terms = self._terms.get(name)
        if terms is None:
            return name
        exchange = self._exchange
        return (exchange.endpoint, exchange.identity.name, exchange.audience, terms.fields)

    def describe(self, name: str) -> Secret:
        """Return what the configuration says of a secret.

        Raises:
            SecretNotFound: It says nothing.
        """
        return self._of(name).secret

    def fetch(self, name: str) -> Credential:
        """Return a key that nobody had before; raises as `Exchange.make`, and `SecretNotFound`."""
        return self._exchange.make(dict(self._of(name).fields))

    def revoke(self, upstream: str) -> None:
        """Do nothing: leases share the key, which has no upstream id, and dies by itself."""

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
) -> FederationBackend:
    """Return the backend that a table describes; no server is asked.

    Args:
        name: Its configured name.
        table: ``[backend.NAME]``.
        secrets: The tables of its secrets by name.
        identities: The configured identities by name.

    Raises:
        ConfigError: Naming the file, the table and the key.
    """
    form = FORMATS[table.choice("provider", tuple(FORMATS))]
    if not form.provider:
        form = _with_delivery(table, form)
    exchange = _exchange(table, form, identity_of(table, identities))
    fields = _fields(table, form)
    hosts = hosts_of(table, PROVIDERS[form.provider].hosts if form.provider else ())
    common = Secret(
        name="",
        provider=form.provider,
        hosts=hosts,
        backend=name,
        max_ttl=MAX_TTL,
        version="",
        bounded_by=BoundedBy.PROVIDER,
        delivery=form.delivery,
    )
    terms = {each: _terms(secrets[each], form, common, fields, each) for each in secrets}
    return FederationBackend(exchange, terms)


def _exchange(table: Table, form: Format, identity: Identity) -> Exchange:
    given = table.optional_text("token_endpoint") or form.endpoint
    if given is None:
        raise table.error("token_endpoint is missing")
    endpoint = check_url(f"{table.path}: {table.name}: token_endpoint", given)
    audience = table.optional_text("audience") or form.audience or endpoint
    return Exchange(form, endpoint, identity, audience, reuse=table.flag("jti_reuse"))


def _with_delivery(table: Table, form: Format) -> Format:
    chosen = _DELIVERIES[table.choice("delivery", tuple(_DELIVERIES), "bearer")]
    return form if chosen is None else replace(form, delivery=chosen)


def _fields(table: Table, form: Format) -> dict[str, str]:
    fields = {key: table.text(key) for key in form.required}
    for key in form.optional:
        given = table.optional_text(key)
        if given is not None:
            fields[key] = given
    if form.token_types:
        kind = table.choice("subject_token_type", form.token_types, form.token_types[0])
        fields["subject_token_type"] = TOKEN_TYPE + kind
    return fields


def _terms(
    table: Table, form: Format, common: Secret, fields: Mapping[str, str], name: str
) -> Terms:
    scope = table.optional_text("scope") if "scope" in form.optional else None
    own = {"scope": scope} if scope is not None else {}
    return Terms(described(table, common, name), tuple(sorted({**fields, **own}.items())))
