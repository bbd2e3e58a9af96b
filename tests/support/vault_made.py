"""Keys that a PKI engine of a Vault makes, each with a lease of its own, and how those end."""

from __future__ import annotations

from typing import Any

from brokerd.backends.vault.backend import VaultBackend
from tests.support.backends import WHOM
from tests.support.daemon import wait_until
from tests.support.vault import Server
from tests.support.vaulted import ENDING, Vaulted, vaulted

NAME = "gateway/app"
RENEWING = {"sys/leases/renew": ["update"], "sys/leases/lookup": ["update"]}


def secret(mount: str, **more: Any) -> dict[str, Any]:
    """Return the table of a secret that the engine at a mount makes."""
    return {
        "engine": "dynamic",
        "path": f"{mount}/issue/app",
        "method": "write",
        "parameters": {"common_name": "app.example"},
        "field": "serial_number",
        **more,
    }


def made(
    server: Server, mount: str, rules: dict[str, list[str]] | None = None, **more: Any
) -> Vaulted:
    """Build a backend for it.

    Args:
        server: The server.
        mount: Where the engine is.
        rules: What its token may do besides.
        more: What its ``secret`` says besides, and terms of its token.
    """
    values = secret(mount, **more.pop("secret", {}))
    rules = {f"{mount}/issue/*": ["update"], **(ENDING if rules is None else rules)}
    return vaulted(server, rules, {NAME: values}, **more)


def leases(server: Server, mount: str) -> list[str]:
    """Return what names the engine's leases to a backend."""
    return [f"lease/{each}" for each in server.leases(f"{mount}/issue/app/")]


def ends(server: Server, mount: str, upstream: str | None) -> None:
    """Wait for the end of a lease: a server ends a token first, and then what it made."""
    wait_until(lambda: upstream not in leases(server, mount))


def key(backend: VaultBackend) -> Any:
    """Have a key made, as the daemon does."""
    return backend.make(NAME, backend.prepare(NAME), WHOM)
