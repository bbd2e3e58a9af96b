"""A Vault as a backend's table describes it, and what is asked of it where it is none."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from brokerd.backends.vault.client import Vault
from brokerd.backends.vault.faults import translated
from brokerd.backends.vault.servers import servers
from brokerd.table import Table
from brokershim.errors import BackendUnavailable
from tests.support.provider import Answer

SECONDS = 0.6
"""What all servers together have in a test, instead of what they have."""
TOKEN = "hvs.CAESIJ-a-token-that-nobody-may-see"
JWT = "eyJh.eyJz.c2ln"
FOUND = Answer(200, json.dumps({"data": {"key": "of-the-tests"}}).encode())
SEALED = Answer(503, b'{"errors":["Vault is sealed"]}')


def table_of(**values: Any) -> Table:
    """Return a backend's table."""
    return Table("config.toml", "backend.corp", values)


def vault_at(*addresses: str, **values: Any) -> Vault:
    """Return the Vault at some addresses."""
    return Vault("corp", servers(table_of(addresses=list(addresses), **values)))


def gone_address() -> str:
    """Return an address at which nothing listens any more."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        return f"http://127.0.0.1:{gone.getsockname()[1]}"


def read(*addresses: str, once: bool = False) -> Any:
    """Ask for something that may be asked for again."""
    return vault_at(*addresses).client(TOKEN, once=once).read("secret/a")


def write(*addresses: str) -> Any:
    """Ask for something that must not be asked for twice."""
    return vault_at(*addresses).client(TOKEN).write_data("auth/x/login", data={"jwt": JWT})


def error_of(ask: Callable[..., Any], *addresses: str, **how: Any) -> BackendUnavailable:
    """Return how asking fails; what is raised shows no token."""
    with pytest.raises(BackendUnavailable) as caught, translated("reading a"):
        ask(*addresses, **how)
    assert caught.value.__context__ is None
    assert TOKEN not in repr(caught.value) + str(caught.value.details)
    return caught.value
