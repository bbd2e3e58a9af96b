"""What is asked and looked at in a Vault by its root?"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import requests

hvac: Any = importlib.import_module("hvac")  # it carries no types


class Root:
    """What holds root's token, in one namespace.

    Args:
        url: The server's address.
        token: Root's token.
        ca_file: Who signed the server's certificate; None for plain HTTP.
        namespace: Where all of it happens; empty for the root.

    Attributes:
        root: An `hvac.Client` that may do everything.
    """

    def __init__(self, url: str, token: str, ca_file: Path | None, namespace: str = "") -> None:
        self.url, self.ca_file, self.namespace, self._token = url, ca_file, namespace, token
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = str(ca_file) if ca_file else True
        self.root = self.client(token)

    def client(self, token: str | None) -> Any:
        """Return an `hvac.Client` of another token, or of none, in the same namespace."""
        client = hvac.Client(url=self.url, session=self._session, namespace=self.namespace or None)
        client.token = token  # None, too: or hvac would look for one in the environment
        return client

    def disconnect(self) -> None:
        """Close its connections."""
        self._session.close()

    def write(self, path: str, /, **data: Any) -> dict[str, Any]:
        """Write to a path, and return what it answers; empty where it answers nothing."""
        found = self.root.write_data(path, data=data)
        return dict(found) if isinstance(found, dict) else {}

    def read(self, path: str) -> dict[str, Any]:
        """Return what a path holds; empty where it holds nothing."""
        found = self.root.read(path)
        return dict(found["data"]) if found else {}

    def keys(self, path: str) -> list[str]:
        """Return the names below a path."""
        found = self.root.list(path)
        return [str(each) for each in found["data"]["keys"]] if found else []

    def delete(self, path: str) -> None:
        """Delete a path."""
        self.root.delete(path)

    def leases(self, prefix: str = "") -> list[str]:
        """Return the server's own list of leases below a prefix, recursive: their ids."""
        found: list[str] = []
        for key in self.keys(f"sys/leases/lookup/{prefix}"):
            whole = f"{prefix}{key}"
            found += self.leases(whole) if key.endswith("/") else [whole]
        return found

    def accessors(self) -> set[str]:
        """Return the accessors of all tokens that live, root's among them."""
        return set(self.keys("auth/token/accessors"))

    def lives(self, token: str) -> bool:
        """Return whether a token does."""
        try:
            self.client(token).auth.token.lookup_self()
        except (hvac.exceptions.Forbidden, hvac.exceptions.InvalidRequest):
            return False
        return True
