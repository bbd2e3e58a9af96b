"""How is a Vault asked? With hvac, over a transport of ours."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import requests

from brokerd.backends.vault.servers import Servers
from brokerd.backends.vault.transport import Order, Transport
from brokerd.trust import Prove
from brokershim.errors import BackendRefused

hvac: Any = importlib.import_module("hvac")  # it carries no types

_BASE = "http://vault"
"""Stands for whichever server it is; there is a transport for it, and for nothing else."""


class Vault:
    """One configured Vault: its servers in order, its namespace, and whom it trusts.

    Args:
        name: The backend's configured name, for messages.
        servers: Its servers.
    """

    def __init__(self, name: str, servers: Servers) -> None:
        self.name, self.servers = name, servers
        self._order = Order(servers.addresses)

    def client(
        self, token: str | None = None, *, once: bool = False, prove: Prove | None = None
    ) -> Any:
        """Return an `hvac.Client` that acts with a token, or with none.

        What it raises beside `hvac.exceptions` (a 4xx) is ours already; see `faults.translated`.
        Every argument that hvac would take from the environment where it is None is given.

        Args:
            token: What it acts with.
            once: Whether a GET that the server may have is left at that, as one that makes
                something is; otherwise it is sent again, and to the next server.
            prove: Puts a client certificate on each connection.

        Raises:
            BackendRefused: The token is empty, or has characters that no token has.
        """
        if token is not None and not _is_one(token):
            raise BackendRefused(
                f"{self.name}: what should be a token is none",
                hint="see what stands where config.toml says that it is, or in the keyring: "
                f"`brokerctl backend enrol {self.name}`",
            )
        session = requests.Session()
        session.trust_env = False  # no proxy, no netrc, no bundle of authorities
        session.headers.clear()
        session.adapters.clear()
        trust = replace(self.servers.trust, prove=prove)
        session.mount(_BASE, Transport(self.name, self._order, trust, once))
        return hvac.Client(
            url=_BASE,
            token=token or "",
            cert=(),
            verify=True,
            proxies={},
            allow_redirects=False,
            session=session,
            namespace=self.servers.namespace,
        )


def _is_one(token: str) -> bool:
    """Return whether it could be a token: with an empty one, as of an empty file, nobody asks."""
    return token.isascii() and token.isprintable() and bool(token) and " " not in token
