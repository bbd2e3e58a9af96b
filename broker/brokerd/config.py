"""What may stand in config.toml, and what does it mean? (The schema is pure.)"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from brokerd.table import Table
from brokershim.errors import ConfigError
from brokershim.ownership import OTHERS_WRITE, check_private_dir, read_private
from brokershim.reference import SECRET_NAME

MAX_BYTES = 1024 * 1024
EMBEDDED = "embedded"
"""The backend that is always there, and holds every secret that config.toml does not name."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
MasterKey = Literal["auto", "keyring", "passphrase"]


@dataclass(frozen=True)
class Config:
    """The daemon's configuration.

    Attributes:
        master_key: Where the embedded store's master key comes from; ``auto`` is the keyring
            of the operating system where there is one, else a passphrase.
        audit_bytes: Size in bytes at which the audit log goes on in a new file.
        identities: The tables ``[identity.NAME]`` by name.
        backends: The tables ``[backend.NAME]`` by name.
        secrets: The tables ``[secret."NAME"]`` by name.
        homes: The backend of each of those secrets.
    """

    master_key: MasterKey = "auto"
    audit_bytes: int = 16 * 1024 * 1024
    identities: Mapping[str, Table] = field(default_factory=dict[str, Table])
    backends: Mapping[str, Table] = field(default_factory=dict[str, Table])
    secrets: Mapping[str, Table] = field(default_factory=dict[str, Table])
    homes: Mapping[str, str] = field(default_factory=dict[str, str])

    def backend_of(self, secret: str) -> str:
        """Return the name of the backend that holds a secret."""
        return self.homes.get(secret, EMBEDDED)

    def account_of(self, secret: str) -> str | None:
        """Return the name of what has to be logged in for a secret, if anything.

        That is its backend's identity, or the backend itself where people log in to that.

        Raises:
            ConfigError: What stands there is no name.
        """
        name = self.backend_of(secret)
        backend = self.backends.get(name)
        if backend is None:
            return None
        return backend.optional_text("identity") or name

    def secrets_of(self, backend: str) -> dict[str, Table]:
        """Return the tables of a backend's secrets by name."""
        return {name: each for name, each in self.secrets.items() if self.homes[name] == backend}


def load(path: str) -> Config:
    """Read config.toml; without one, everything is at its default.

    Raises:
        ConfigError: It is no TOML, or holds an unknown key or a wrong value.
        InsecurePath: Others could change it.
    """
    return parse(path, read_toml(path))


def parse(path: str, document: Mapping[str, Any]) -> Config:
    """Return the configuration that a document describes.

    Raises:
        ConfigError: Naming the file and the key.
    """
    check_keys(path, "", document, {"store", "audit", "identity", "backend", "secret"})
    store = as_table(f"{path}: store", document.get("store", {}))
    audit = as_table(f"{path}: audit", document.get("audit", {}))
    check_keys(path, "store.", store, {"master_key"})
    check_keys(path, "audit.", audit, {"rotate_bytes"})
    backends = _tables(path, "backend", document, _NAME)
    secrets = _tables(path, "secret", document, SECRET_NAME)
    return Config(
        master_key=_master_key(path, store),
        audit_bytes=_audit_bytes(path, audit),
        identities=_tables(path, "identity", document, _NAME),
        backends=backends,
        secrets=secrets,
        homes={name: _home(table, backends) for name, table in secrets.items()},
    )


def read_toml(path: str) -> dict[str, Any]:
    """Return a private TOML file as a document, empty where there is none.

    Raises:
        ConfigError: It cannot be read as TOML.
        InsecurePath: Others could change it, or what stands in its folder.
    """
    try:
        check_private_dir(os.path.dirname(path))
        data = read_private(path, MAX_BYTES, OTHERS_WRITE)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    return parse_toml(path, data or b"")


def parse_toml(path: str, data: bytes) -> dict[str, Any]:
    """Return TOML bytes as a document.

    Raises:
        ConfigError: Naming the file, the line and the column, and nothing of the content.
    """
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        where = str(error).rpartition("(")[2].rstrip(")")
        raise ConfigError(f"{path} is not TOML ({where})") from None
    except (ValueError, RecursionError):
        # A number of thousands of digits, or brackets without end: tomllib lets these through.
        raise ConfigError(f"{path} is not TOML that can be read") from None


def check_keys(path: str, prefix: str, table: Mapping[str, Any], known: set[str]) -> None:
    """Refuse a key that means nothing to us: a misspelt limit must not be no limit.

    Raises:
        ConfigError: Naming the file and the key.
    """
    for key in table:
        if key not in known:
            raise ConfigError(
                f"{path}: unknown key {prefix}{key}",
                hint="known here: " + ", ".join(sorted(prefix + each for each in known)),
            )


def as_table(where: str, value: Any) -> dict[str, Any]:
    """Return a value that has to be a table.

    Raises:
        ConfigError: It is not.
    """
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is not a table")
    return cast("dict[str, Any]", value)


def _tables(
    path: str, kind: str, document: Mapping[str, Any], names: re.Pattern[str]
) -> dict[str, Table]:
    found = as_table(f"{path}: {kind}", document.get(kind, {}))
    if any(name == EMBEDDED or not names.fullmatch(name) for name in found):
        raise ConfigError(
            f"{path}: a name under {kind} is not one that it can have",
            hint="in lower case: letters, digits, '.', '_', '-'; a secret's as in "
            '[secret."openai/dev"]; not "embedded", which is always there',
        )
    return {
        name: Table(path, f"{kind}.{name}", as_table(f"{path}: {kind}.{name}", values))
        for name, values in found.items()
    }


def _home(table: Table, backends: Mapping[str, Table]) -> str:
    name = table.text("backend")
    if name not in backends:
        raise ConfigError(
            f"{table.path}: {table.name}: no backend {name}",
            hint=f"write [backend.{name}] into that file",
        )
    return name


def _master_key(path: str, store: Mapping[str, Any]) -> MasterKey:
    found = store.get("master_key", "auto")
    for known in get_args(MasterKey):
        if found == known:
            return cast(MasterKey, known)
    raise ConfigError(f"{path}: store.master_key is none of {', '.join(get_args(MasterKey))}")


def _audit_bytes(path: str, audit: Mapping[str, Any]) -> int:
    value = audit.get("rotate_bytes", Config.audit_bytes)
    if not isinstance(value, int) or isinstance(value, bool) or value < 64 * 1024:
        raise ConfigError(f"{path}: audit.rotate_bytes is not a number of at least 65536")
    return value
