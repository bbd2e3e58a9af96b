"""What does the embedded store hold? One method for each thing that is done with a secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from brokerd.model import BoundedBy, Credential, Secret
from brokerd.store.access import Access
from brokerd.store.crypto import Place, seal, unseal
from brokerd.store.format import FormatError, Record, Version
from brokerd.store.genuine import Opened
from brokerd.store.rules import check_value, described
from brokershim.errors import SecretNotFound, StoreCorrupted, UsageError
from brokershim.reference import check_name

NAME = "embedded"
"""The backend's name in a secret's description."""


class VersionInfo(NamedTuple):
    """One version of a secret: its number, and when it was stored, in UTC (RFC 3339)."""

    version: str
    created: str


class Store(Access):
    """The embedded store, in one file. May be used by several threads at once.

    A keyring store opens by itself at its first use; after `lock` only by `unlock`. Values stay
    sealed, in memory too; only `fetch` and `rollback` open one, each the one it is asked for.

    Besides what each method names, all of them raise what `unlock` does.
    """

    def set(
        self,
        name: str,
        value: bytes | None = None,
        provider: str | None = None,
        hosts: Sequence[str] | None = None,
        max_ttl: float | None = None,
    ) -> tuple[str, bool]:
        """Store a value, a description, or both; make the store where there is none.

        Args:
            name: The secret's name.
            value: A new value; None changes the description only.
            provider: Such as ``openai``; see `brokerd.store.rules.described` for None.
            hosts: Where the key may go; see there.
            max_ttl: The longest lease in seconds; see there.

        Returns:
            The current version, and whether the secret is new.

        Raises:
            UsageError: One of them is not acceptable.
            SecretNotFound: No value is given, and none is stored.
        """
        check_name(name)
        if value is not None:
            check_value(value)
        with self._exclusive():
            opened = self._read()
            known = opened.document.secrets.get(name) if opened else None
            if value is None and known is None:
                raise SecretNotFound(f"{name} is not in the store, so it needs a value")
            record = described(name, known, provider, hosts, max_ttl)
            opened = opened or self._create(None)
            if value is not None:
                record = _with_value(opened, name, record, value)
            if record != known:
                self._save(opened, name, record)
            return str(record.current.number), known is None

    def list(self) -> tuple[Secret, ...]:
        """Return the secrets, by name."""
        with self._exclusive():
            opened = self._read()
            records = sorted(opened.document.secrets.items()) if opened else []
            return tuple(_secret(name, record) for name, record in records)

    def show(self, name: str) -> tuple[Secret, tuple[VersionInfo, ...]]:
        """Return a secret and its versions, the oldest first.

        Raises:
            SecretNotFound: There is none of that name.
        """
        with self._exclusive():
            _, record = self._find(name)
            versions = (VersionInfo(str(each.number), each.created) for each in record.versions)
            return _secret(name, record), tuple(versions)

    def describe(self, name: str) -> Secret:
        """Return what is known of a secret.

        Raises:
            SecretNotFound: There is none of that name.
        """
        with self._exclusive():
            return _secret(name, self._find(name)[1])

    def fetch(self, name: str) -> Credential:
        """Return a secret's current value.

        Raises:
            SecretNotFound: There is none of that name.
        """
        with self._exclusive():
            opened, record = self._find(name)
            value = self._value(opened, name, record.current)
            return Credential(value, str(record.current.number), BoundedBy.BROKER)

    def remove(self, name: str) -> None:
        """Remove a secret with all its versions. Its numbers are not used again.

        Raises:
            SecretNotFound: There is none of that name.
        """
        with self._exclusive():
            opened, record = self._find(name)
            rest = {each: kept for each, kept in opened.document.secrets.items() if each != name}
            retired = {**opened.document.retired, name: record.current.number}
            self._file.write(replace(opened.document, secrets=rest, retired=retired), opened)

    def rollback(self, name: str, version: int | None = None) -> str:
        """Store an older value again, as a new version.

        Args:
            name: The secret's name.
            version: The older version; None is the one before the current.

        Returns:
            The new version.

        Raises:
            SecretNotFound: There is no secret of that name, or no such version of it.
            UsageError: It is the current version already.
        """
        with self._exclusive():
            opened, record = self._find(name)
            value = self._value(opened, name, _older(name, record, version))
            record = _with_value(opened, name, record, value)
            self._save(opened, name, record)
            return str(record.current.number)

    def _find(self, name: str) -> tuple[Opened, Record]:
        opened = self._read()
        record = opened.document.secrets.get(name) if opened else None
        if opened is None or record is None:
            raise SecretNotFound(f"there is no secret {check_name(name)}")
        return opened, record

    def _value(self, opened: Opened, name: str, version: Version) -> bytes:
        place = Place(opened.document.id, name, version.number)
        try:
            return unseal(opened.master, place, version.sealed)
        except FormatError as error:
            raise StoreCorrupted(f"{self._file.path} is damaged: {error}") from None

    def _save(self, opened: Opened, name: str, record: Record) -> None:
        secrets = {**opened.document.secrets, name: record}
        retired = {each: last for each, last in opened.document.retired.items() if each != name}
        self._file.write(replace(opened.document, secrets=secrets, retired=retired), opened)


def _with_value(opened: Opened, name: str, record: Record, value: bytes) -> Record:
    """Return a secret with one more version.

    A removed secret's numbers go on where they ended: what holds a version by its number, such
    as a lease, must never take one value for another.
    """
    document = opened.document
    last = record.current.number if record.versions else document.retired.get(name, 0)
    sealed = seal(opened.master, Place(document.id, name, last + 1), value)
    return replace(record, versions=(*record.versions, Version(last + 1, _utc_now(), sealed)))


def _older(name: str, record: Record, number: int | None) -> Version:
    if number == record.current.number:
        raise UsageError(f"version {number} of {name} is the current one")
    older = record.versions[:-1]
    found = older[-1:] if number is None else [each for each in older if each.number == number]
    if not found:
        which = "older version" if number is None else f"version {number}"
        hint = f"see `brokerctl secret show {name}`"
        raise SecretNotFound(f"{name} has no {which}", hint=hint)
    return found[0]


def _secret(name: str, record: Record) -> Secret:
    return Secret(
        name=name,
        provider=record.provider,
        hosts=record.hosts,
        backend=NAME,
        max_ttl=record.max_ttl,
        version=str(record.current.number),
        bounded_by=BoundedBy.BROKER,
    )


def _utc_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
