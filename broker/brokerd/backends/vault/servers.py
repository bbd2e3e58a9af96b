"""Which servers are asked, and in which namespace? Read from a backend's table."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from brokerd.http import check_url
from brokerd.table import Table
from brokerd.trust import Trust
from brokershim.errors import ConfigError, ServerUnproven

_NAMES = re.compile(r"[\w.-]+(/[\w.-]+)*", re.ASCII)
_SERVER_NAME = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True)
class Servers:
    """The servers of one cluster: what one of them made, every other knows, and can end.

    Attributes:
        addresses: Their URLs in the order in which they are tried, without a slash at the end.
        namespace: Where in them all of it happens, such as ``team-a/llm``; None for the root.
        trust: How they prove who they are.
    """

    addresses: tuple[str, ...]
    namespace: str | None = None
    trust: Trust = field(default_factory=Trust)


def servers(table: Table) -> Servers:
    """Return what a backend's table says of its servers.

    Raises:
        ConfigError: It names none, or one that tokens must not be sent to; or the namespace, the
            authority's file or the server's name is none.
    """
    return Servers(_addresses(table), path_of_names(table, "namespace"), _trust(table))


def path_of_names(table: Table, key: str) -> str | None:
    """Return a path such as ``team-a/llm``, without a slash at its ends; None where there is none.

    Raises:
        ConfigError: It could mean another one at the server.
    """
    found = table.optional_text(key)
    if found is None:
        return None
    path = found.strip("/")
    if not _NAMES.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise table.error(f"{key} is no path of names, such as team-a/llm")
    return path


def _addresses(table: Table) -> tuple[str, ...]:
    one, several = table.optional_text("address"), table.texts("addresses")
    if (one is None) == (not several):
        raise table.error("one of address and addresses is needed, and not both")
    found = tuple(_address(table, each) for each in ((one,) if one else several))
    if len(set(found)) < len(found):
        raise table.error("addresses names one server twice")
    return found


def _address(table: Table, url: str) -> str:
    where = f"{table.path}: {table.name}: an address"
    parts = urlsplit(check_url(where, url))
    if parts.query or "/v1" in parts.path:
        raise ConfigError(f"{where} has more than a server's URL", hint="leave out what follows it")
    return url.rstrip("/")


def _trust(table: Table) -> Trust:
    ca_file, name = table.optional_absolute_path("ca_file"), table.optional_text("tls_server_name")
    if name is not None and not _SERVER_NAME.fullmatch(name):
        raise table.error("tls_server_name is no name of a server")
    trust = Trust(ca_file, name)
    if ca_file is not None:
        _check_authorities(table, trust)
    return trust


def _check_authorities(table: Table, trust: Trust) -> None:
    try:
        trust.context()
    except ServerUnproven as error:
        raise table.error(f"ca_file: {error.message}") from None
