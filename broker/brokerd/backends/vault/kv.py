"""What is a static key in Vault now, and is it still the newest? (The KV engines, 1 and 2.)"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, NamedTuple

from brokerd.backends.reply import number, part, text
from brokerd.backends.vault.capabilities import allowed, lacking
from brokerd.backends.vault.client import hvac
from brokerd.backends.vault.mounts import Mounts
from brokerd.backends.vault.session import Session
from brokerd.backends.vault.terms import KvTerms
from brokerd.model import BoundedBy, Credential
from brokershim.errors import (
    BackendRefused,
    NotFound,
    SecretDeleted,
    SecretDestroyed,
    SecretNotFound,
    ServerDown,
)

_DIGEST_BYTES = 8
_MADE_BYTES = 4


class _Found(NamedTuple):
    """What stands at a path, and which version of it that is."""

    fields: Mapping[str, Any]
    version: str


class KvSecrets:
    """Static keys.

    Args:
        mounts: Knows the engines.
        session: Asks the server.
    """

    def __init__(self, mounts: Mounts, session: Session) -> None:
        self._mounts, self._session = mounts, session
        self._digest_key = secrets.token_bytes(32)
        self._without_metadata: set[Hashable] = set()

    def fetch(self, terms: KvTerms) -> Credential:
        """Return a key.

        Raises:
            SecretDeleted: This version of it is deleted.
            SecretDestroyed: It is destroyed.
            SecretNotFound: There is none, or no such field.
            BackendRefused: The token may not read it.
            BrokerError: As `Session.call`.
        """
        found = self._read(terms)
        return Credential(
            _value(terms, found.fields),
            found.version,
            BoundedBy.BROKER,
            max_staleness=terms.max_staleness,
        )

    def newest(self, terms: KvTerms) -> str:
        """Return the version that `fetch` would bring now; raises as that does.

        From what the engine knows of its versions, so that no key travels for it. Where the token
        may not read that, or not the key itself any more, or the engine has no versions, the key
        is read.
        """
        if not self._mounts.keeps_versions(terms.mount):
            return self._read(terms).version
        return self._told_by_metadata(terms) or self._read(terms).version

    def _told_by_metadata(self, terms: KvTerms) -> str | None:
        """Return the newest version; None where metadata cannot tell it."""
        asked = terms.place, self._session.generation()
        if asked in self._without_metadata:
            return None
        try:
            found = self._call(terms, partial(_metadata, terms))
        except BackendRefused:
            pass
        else:
            return None if found is None else _newest(terms, found)
        version = self._read(terms).version  # refused, too, where it is the login that is
        # Metadata not again, as long as it is this login: each refusal is one more alarm for who
        # watches the server's audit.
        self._without_metadata.add(asked)
        return version

    def _read(self, terms: KvTerms) -> _Found:
        if self._mounts.keeps_versions(terms.mount):
            answer = self._call(terms, partial(_data, terms))
            return _found_in(terms, part(answer, "data"))
        fields = part(self._call(terms, partial(_fields, terms)), "data")
        _refuse_pin(terms)
        return _Found(fields, self._digest(fields.get(terms.field)))

    def _digest(self, value: object) -> str:
        """Name a version of what has none: without the key of this process it tells nothing."""
        data = repr(value).encode()
        return hashlib.blake2b(data, key=self._digest_key, digest_size=_DIGEST_BYTES).hexdigest()

    def _call(self, terms: KvTerms, work: Callable[[Any], object]) -> object:
        try:
            return self._session.call(work, f"reading {terms.secret.name} at {terms.place}")
        except NotFound as error:
            if type(error) is not NotFound:
                raise
            # It may be that the engine has another version by now, and so other paths.
            self._mounts.forget(terms.mount)
        raise _missing(terms)


def _data(terms: KvTerms, client: Any) -> object:
    """Read a version, by the way of hvac that tells a deleted one apart."""
    try:
        return client.secrets.kv.v2.read_secret_version(
            terms.path,
            version=terms.version,
            mount_point=terms.mount,
            raise_on_deleted_version=True,
        )
    except hvac.exceptions.InvalidPath as error:
        gone = _gone(terms, part(error.json, "data", "metadata"))
        if gone is None:
            raise
    raise gone


def _metadata(terms: KvTerms, client: Any) -> object:
    """Return what is known of the versions; None where the key itself may not be read any more.

    Whoever took away the one right, and left the other, means that the key is not ours now.
    """
    found = client.secrets.kv.v2.read_secret_metadata(terms.path, mount_point=terms.mount)
    data = f"{terms.mount}/data/{terms.path}"
    return None if lacking(allowed(client, [data])[data], ["read"]) else found


def _fields(terms: KvTerms, client: Any) -> object:
    return client.secrets.kv.v1.read_secret(terms.path, mount_point=terms.mount)


def _found_in(terms: KvTerms, answer: Mapping[str, Any]) -> _Found:
    metadata = part(answer, "metadata")
    version = number(metadata, "version")
    if version is None:
        raise ServerDown(f"the answer for {terms.secret.name} at {terms.place} has no version")
    return _Found(part(answer, "data"), _named(version, metadata))


def _named(version: int | None, made: Mapping[str, Any]) -> str:
    """Return what names a version: its number, and a digest of when it was made.

    Where all that was at a path is removed, the next one is number 1 once more; by its number alone
    the key that was there before would be taken for the newest, and be served for ever.
    """
    data = repr(text(made, "created_time")).encode()
    return f"{version}-{hashlib.blake2b(data, digest_size=_MADE_BYTES).hexdigest()}"


def _newest(terms: KvTerms, answer: object) -> str | None:
    """Return the version that metadata tell of; None where only the server can say.

    A version that is to be deleted at some time is so by the server's clock, and not by ours.
    """
    metadata = part(answer, "data")
    version = terms.version or number(metadata, "current_version")
    known = part(metadata, "versions", str(version))
    if not known:
        raise _missing(terms)
    if known.get("destroyed") is True:
        raise _destroyed(terms, version)
    return None if known.get("deletion_time") else _named(version, known)


def _gone(terms: KvTerms, metadata: Mapping[str, Any]) -> SecretNotFound | None:
    """Return what became of a version that once was; None where there never was one."""
    version = number(metadata, "version")
    if metadata.get("destroyed") is True:
        return _destroyed(terms, version)
    if metadata.get("deletion_time"):
        return SecretDeleted(f"version {version} of {terms.secret.name} ({terms.place}) is deleted")
    return None


def _destroyed(terms: KvTerms, version: int | None) -> SecretDestroyed:
    return SecretDestroyed(f"version {version} of {terms.secret.name} ({terms.place}) is destroyed")


def _missing(terms: KvTerms) -> SecretNotFound:
    which = "" if terms.version is None else f"version {terms.version} of "
    version = "" if terms.version is None else f"-version={terms.version} "
    command = f"vault kv get -mount={terms.mount} {version}{terms.path}"
    return SecretNotFound(
        f"{which}{terms.secret.name} is not in {terms.secret.backend}: "
        f"there is nothing at {terms.path} of {terms.mount}",
        hint=terms.slip or f"see whether `{command}` finds it",
    )


def _refuse_pin(terms: KvTerms) -> None:
    """Refuse a version where there are none: the pin would hold nothing."""
    if terms.version is not None:
        raise SecretNotFound(
            f"{terms.secret.name} is pinned to version {terms.version}, and {terms.mount} is a KV "
            "engine of version 1, which keeps none",
            hint="take `version` out of its table in config.toml",
        )


def _value(terms: KvTerms, fields: Mapping[str, Any]) -> bytes:
    value = fields.get(terms.field)
    if isinstance(value, str) and value:
        return value.encode("utf-8", "surrogatepass")  # JSON may hold half a character
    # How many there are, and not which: a name may tell more than it should.
    fault = "is no text" if terms.field in fields else f"is not among the {len(fields)}"
    raise SecretNotFound(
        f"the field {terms.field} of {terms.secret.name} ({terms.place}) {fault} there",
        hint="correct `field` in its table in config.toml",
    )
