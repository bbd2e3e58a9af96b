"""Does the KV engine at a mount keep versions? The server is asked, once for each."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import quote

from brokerd.backends.reply import part, text
from brokerd.backends.vault.session import Session
from brokerd.washing import washed
from brokershim.errors import SecretNotFound, ServerDown

_KV = ("kv", "generic")
"""Its types; the second is its name before Vault 0.8."""


class Mounts:
    """The KV engines of one Vault.

    Args:
        name: The backend's configured name, for messages.
        session: Asks the server.
    """

    def __init__(self, name: str, session: Session) -> None:
        self._name, self._session = name, session
        self._known: dict[str, bool] = {}

    def keeps_versions(self, mount: str) -> bool:
        """Return whether the engine at a mount is a KV engine of version 2, and not of 1.

        Raises:
            SecretNotFound: There is no KV engine.
            BackendRefused: The token may do nothing there; or there is nothing.
            ServerDown: The server answers what it must not.
            BrokerError: As `Session.call`.
        """
        found = self._known.get(mount)
        if found is None:
            found = self._known[mount] = self._ask(mount)
        return found

    def forget(self, mount: str) -> None:
        """Ask anew the next time: a version 1 can be made a 2 at any time."""
        self._known.pop(mount, None)

    def _ask(self, mount: str) -> bool:
        found = part(self._session.call(partial(_mount, mount), f"finding {mount}"), "data")
        path, kind = text(found, "path").strip("/"), text(found, "type")
        if not path:
            raise ServerDown(f"{self._name} does not say what {mount} is")
        if path != mount:
            # What the server says is repeated only where it is a part of what it was asked.
            at = path if path and mount.startswith(f"{path}/") else "…"
            raise SecretNotFound(
                f"{mount} is no mount of {self._name}", hint=f'set mount = "{at}" in config.toml'
            )
        if kind not in _KV:
            raise SecretNotFound(
                f"{mount} of {self._name} is no KV engine, but {washed(kind)}",
                hint='set engine = "dynamic", and path to what makes its keys',
            )
        return text(part(found, "options"), "version") == "2"


def _mount(mount: str, client: Any) -> object:
    # What the server's own command line asks; open to whoever may do anything in that mount.
    return client.adapter.get(f"/v1/sys/internal/ui/mounts/{quote(mount)}")
