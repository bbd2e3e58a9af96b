"""A world whose daemon has keys made for its leases by a real Vault."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

from tests.support import vault_daemon
from tests.support.daemon import PACKAGES, REPOSITORY, World, own_python
from tests.support.jwks import Issuer
from tests.support.vault import Server

NAME = "gateway/app"
_AUDIENCE = "https://vault.example.com"
_CONFIG = """
[store]
master_key = "passphrase"

[identity.work]
kind = "file"
path = "{token}"

[backend.corp]
kind = "vault"
address = "{address}"
login = "jwt"
auth_mount = "{mount}"
role = "{role}"
identity = "work"
audience = "{audience}"

[secret."{name}"]
backend = "corp"
engine = "dynamic"
hosts = ["gateway.example.com"]
"""
_PKI = """
path = "{mount}/issue/app"
method = "write"
parameters = {{ common_name = "app.example" }}
field = "serial_number"
"""
_DATABASE = """
path = "{path}"
field = "password"
"""


class VaultedWorld:
    """The world, and the server.

    Args:
        world: Where the daemon lives.
        server: The Vault.
        issuer: Signs what the daemon logs in with.
        users_at: What is read to get a user of a database; a certificate is made, if None.
        address: Where the daemon finds the server; the server's own address, if None.
    """

    def __init__(
        self,
        world: World,
        server: Server,
        issuer: Issuer,
        users_at: str | None = None,
        address: str | None = None,
    ) -> None:
        self.world, self.server = world, server
        pki = server.pki() if users_at is None else ""
        self.path = users_at or f"{pki}/issue/app"
        secret = _PKI.format(mount=pki) if users_at is None else _DATABASE.format(path=users_at)
        token = world.root / "token"
        token.touch(mode=0o600)
        token.write_text(issuer.kubernetes(_AUDIENCE))
        role = server.jwt(issuer.url, _AUDIENCE, self._policy(), token_ttl="10m")
        values = {"token": token, "address": address or server.url, "audience": _AUDIENCE}
        config = _CONFIG.format(name=NAME, mount=role.mount, role=role.role, **values)
        world.write_config("config.toml", config + secret)
        world.grant("*")

    def leases(self) -> list[str]:
        """Return the server's own list of what it made for us."""
        return self.server.leases(f"{self.path}/")

    @contextmanager
    def halting(self, halt_at: str) -> Generator[subprocess.Popen[str]]:
        """Start a daemon that halts at a step, and wait until it is ready; it is killed."""
        folders = json.dumps([*PACKAGES, str(REPOSITORY)])
        with subprocess.Popen(
            [*own_python(), vault_daemon.__file__, folders, halt_at],
            stdout=subprocess.PIPE,
            env=self.world.environ,
            cwd="/",
            text=True,
        ) as process:
            try:
                assert says(process) == "ready"
                yield process
            finally:
                process.kill()

    def _policy(self) -> str:
        return self.server.policy(
            {
                self.path: ["read", "update"],
                "sys/leases/revoke": ["update"],
                "sys/leases/renew": ["update"],
                "auth/token/revoke-accessor": ["update"],
            }
        )


def says(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process says."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")
